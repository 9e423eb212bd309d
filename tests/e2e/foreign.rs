//! A Secret that is not the request's own is left alone, whatever makes it foreign, and the request
//! says so and waits. What happens when somebody else writes at the same moment is in `races`.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::stage::{Stage, create, is_about_secret, message_of, status_of};

/// One way in which a Secret can be somebody else's.
struct Shape {
    /// Of the Secret and of the request that wants it.
    name: &'static str,
    /// The Secret.
    body: Value,
    /// What the request says.
    reason: &'static str,
    /// Words of its message: what is wrong, and the way out.
    words: Vec<String>,
}

pub fn secret(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"theirs": "yes"}, "annotations": {"theirs": "too"}},
        "stringData": {"token": "somebody else's", "other": "value"},
    })
}

pub fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).expect("a parent")[field] = value;
    body
}

pub fn controller(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true}])
}

async fn shapes(stage: &Stage) -> Vec<Shape> {
    let keeper: ConfigMap = create(&stage.api(), json!({"metadata": {"name": "keeper"}})).await;
    let earlier = "3b241101-e2bb-4255-8caf-4136c566a962";
    let consent = |name| {
        format!(
            "kubectl annotate secret {name} -n {} credential-operator.dev/adopt-by={name}",
            stage.team
        )
    };
    vec![
        Shape {
            name: "no-owner",
            body: secret("no-owner"),
            reason: "TargetNotOwned",
            words: vec![
                "does not belong to this request".into(),
                consent("no-owner"),
            ],
        },
        Shape {
            name: "other-controller",
            body: with(
                secret("other-controller"),
                "/metadata/ownerReferences",
                controller("v1", "ConfigMap", "keeper", &keeper.uid().unwrap()),
            ),
            reason: "TargetNotOwned",
            words: vec![
                "belongs to ConfigMap keeper".into(),
                "choose another spec.secret.name".into(),
            ],
        },
        Shape {
            name: "earlier",
            // An API version that is not served, so that garbage collection, which would soon
            // remove what belongs to a UID that is no more, leaves it for as long as we look.
            body: with(
                with(
                    secret("earlier"),
                    "/metadata/ownerReferences",
                    controller(
                        "credential-operator.dev/v0",
                        "CredentialRequest",
                        "earlier",
                        earlier,
                    ),
                ),
                "/metadata/labels",
                json!({"app.kubernetes.io/managed-by": "credential-operator", "credential-operator.dev/request-uid": earlier}),
            ),
            reason: "TargetNotOwned",
            words: vec![
                "an earlier CredentialRequest of this name".into(),
                "nothing to do".into(),
            ],
        },
        Shape {
            name: "immutable",
            body: with(secret("immutable"), "/immutable", json!(true)),
            reason: "TargetNotOwned",
            words: vec![
                "does not belong to this request".into(),
                "delete the Secret".into(),
            ],
        },
        Shape {
            name: "terminating",
            body: with(
                secret("terminating"),
                "/metadata/finalizers",
                json!(["example.com/held"]),
            ),
            reason: "TargetTerminating",
            words: vec!["remove its finalizers".into(), "created anew".into()],
        },
    ]
}

async fn stored(stage: &Stage, name: &str) -> Value {
    serde_json::to_value(stage.secret(name).await).expect("JSON")
}

pub async fn stalled(stage: &Stage, name: &str, reason: &str) {
    let request = stage
        .until(name, "Stalled", |request| {
            status_of(request, "Stalled") == ("True", reason)
        })
        .await;
    assert_eq!(status_of(&request, "Ready"), ("False", reason), "{name}");
    assert_eq!(status_of(&request, "Reconciling").0, "False", "{name}");
    assert_eq!(
        request.status.unwrap().secret_name,
        None,
        "{name} claims the Secret"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_of_six_shapes_is_untouched_until_it_goes_away() {
    let mut stage = Stage::new("foreign").await;
    let mut shapes = shapes(&stage).await;
    for shape in &shapes {
        create::<Secret>(&stage.api(), shape.body.clone()).await;
    }
    stage
        .api::<Secret>()
        .delete("terminating", &DeleteParams::default())
        .await
        .unwrap();
    stage.start().await;

    // The sixth shape: the Secret of another request of the same operator.
    let mut first = stage.request("first");
    first["spec"]["secret"] = json!({"name": "shared"});
    stage.apply(&first).await;
    stage.ready("first").await;
    shapes.push(Shape {
        name: "shared",
        body: Value::Null,
        reason: "TargetNotOwned",
        words: vec![
            "belongs to CredentialRequest first".into(),
            "choose another spec.secret.name".into(),
        ],
    });

    let mut before = Vec::new();
    for shape in &shapes {
        before.push(stored(&stage, shape.name).await);
        stage.apply(&stage.request(shape.name)).await;
    }
    for shape in &shapes {
        stalled(&stage, shape.name, shape.reason).await;
        let request = stage.requests().get(shape.name).await.unwrap();
        for words in &shape.words {
            let message = message_of(&request, "Stalled");
            assert!(
                message.contains(words.as_str()),
                "{}: {words:?} is not in {message:?}",
                shape.name
            );
        }
    }

    // Another look finds the same, and another request shows that time has passed.
    let asked = stage.dce.token_requests();
    for shape in &shapes {
        stage.annotate(shape.name, "example.com/nudge", "1").await;
    }
    stage.apply(&stage.request("meanwhile")).await;
    stage.ready("meanwhile").await;
    assert_eq!(
        stage.dce.token_requests(),
        asked + 1,
        "only the new request asks for a token"
    );
    // Nor does a new operator, which has forgotten the tokens that it could not publish.
    stage.stop().await;
    stage.start().await;
    stage.apply(&stage.request("after-restart")).await;
    stage.ready("after-restart").await;
    assert_eq!(
        stage.dce.token_requests(),
        asked + 2,
        "only the new request asks for a token"
    );
    for (shape, before) in shapes.iter().zip(&before) {
        stalled(&stage, shape.name, shape.reason).await;
        assert_eq!(
            &stored(&stage, shape.name).await,
            before,
            "{} was touched",
            shape.name
        );
        let calls = stage
            .wire
            .calls_where(|call| is_about_secret(call, shape.name));
        let calls: Vec<_> = calls
            .iter()
            .map(|call| (call.label(), call.status))
            .collect();
        assert!(calls.len() < 12, "{}: a storm: {calls:?}", shape.name);
        let written: Vec<_> = calls
            .iter()
            .filter(|(label, status)| label != "get secrets" && *status != Some(409))
            .collect();
        let of_the_owner = usize::from(shape.name == "shared");
        assert_eq!(written.len(), of_the_owner, "{}: {calls:?}", shape.name);
    }

    for shape in &shapes {
        match shape.name {
            "shared" => stage
                .requests()
                .delete("first", &DeleteParams::default())
                .await
                .map(drop),
            "terminating" => merge(
                &stage,
                "terminating",
                json!({"metadata": {"finalizers": null}}),
            )
            .await
            .map(drop),
            name => stage
                .api::<Secret>()
                .delete(name, &DeleteParams::default())
                .await
                .map(drop),
        }
        .unwrap();
    }
    for shape in &shapes {
        stage.ready(shape.name).await;
        assert!(
            stage.dce.is_live(&stage.token(shape.name).await),
            "{}",
            shape.name
        );
    }
    stage.finish().await;
}

pub async fn merge(stage: &Stage, name: &str, patch: Value) -> kube::Result<Secret> {
    stage
        .api::<Secret>()
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_our_marks_does_not_make_a_secret_ours() {
    let mut stage = Stage::new("half-marked").await;
    stage.start().await;
    for name in ["label", "owner"] {
        let mut request = stage.request(name);
        request["spec"]["suspend"] = json!(true);
        stage.apply(&request).await;
        let suspended = stage
            .until(name, "Suspended", |request| {
                status_of(request, "Ready").1 == "Suspended"
            })
            .await;
        let uid = suspended.uid().unwrap();
        let body = if name == "label" {
            with(
                secret(name),
                "/metadata/labels",
                json!({"credential-operator.dev/request-uid": uid}),
            )
        } else {
            let owner = controller(
                "credential-operator.dev/v1alpha1",
                "CredentialRequest",
                name,
                &uid,
            );
            with(secret(name), "/metadata/ownerReferences", owner)
        };
        create::<Secret>(&stage.api(), body).await;
        let before = stored(&stage, name).await;
        stage.apply(&stage.request(name)).await;
        stalled(&stage, name, "TargetNotOwned").await;
        assert_eq!(stored(&stage, name).await, before, "{name}");
    }
    assert_eq!(
        stage.dce.token_requests(),
        1,
        "the provider's login was tested, and no token was asked for"
    );
    stage.finish().await;
}
