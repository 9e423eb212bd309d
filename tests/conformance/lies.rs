//! Answers that are about somebody else, or something else, than was asked about: one for each thing by which that
//! shows.

use credential_operator::{
    plan::Proof,
    providers::{Issuance, Issued},
};
use serde_json::Value;
use testkit::server::Fault;

use crate::{
    bench::Bench,
    refusals::{Refusal, Told, came},
    stages::Stage,
};

/// A good answer, and what it would be like if it were about somebody else.
pub struct Answered {
    /// When it comes.
    pub stage: Stage,
    /// To which call.
    pub server: usize,
    /// The route of the call.
    pub route: String,
    /// Its status.
    pub status: u16,
    /// The true one, by what was issued.
    pub truth: Box<dyn Fn(&Issued) -> Value + Send + Sync>,
    /// The fields (as JSON pointers), what stands there instead, and what is said about it.
    pub fields: Vec<(&'static str, Value, Told)>,
}

/// Plays one, by the number of its field, and panics where somebody else's is taken. Without a number it is the true
/// one, which has to be taken: so that it is the field that counts, and not a form that is understood by nobody.
pub async fn run(bench: &Bench, answered: &Answered, field: Option<usize>) {
    let field = field.map(|number| &answered.fields[number]);
    let issued = bench.issued(1).await;
    if answered.stage == Stage::Issue {
        bench.tidy_up(issued.credential.owner.as_deref()).await;
    }
    let mut body = (answered.truth)(&issued);
    if let Some((pointer, another, _)) = field {
        *body.pointer_mut(pointer).expect("the field") = another.clone();
    }
    let server = bench.subject.system.servers()[answered.server];
    let fault = Fault::status(answered.status, "application/json", body.to_string());
    server.faults().set(answered.route.as_str(), fault);
    let before = server.calls_to(answered.route.as_str()).len();
    let step = match answered.stage {
        Stage::Issue => match bench.issue(1).await {
            Ok(Issuance::Issued(_)) => Ok(None),
            Ok(Issuance::Taken) => panic!("taken"),
            Err(failure) => Err(failure),
        },
        Stage::Prove => bench.prove(&issued).await.map(Some),
        other => panic!("{other:?} has none"),
    };
    let met = server.calls_to(answered.route.as_str()).len() - before;
    assert_eq!(met, 1, "the call was made {met} times");
    match field {
        None => {
            let done = step.expect("the truth is taken");
            assert!(matches!(done, None | Some(Proof::Given)), "{done:?}");
        }
        Some((_, _, told)) => assert_eq!(came(step, bench), *told),
    }
    bench.end();
}

/// A lie that the simulator itself tells.
pub type Lie = Refusal;
