//! The projects that the login may enter.

use std::sync::Arc;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Client, answer, client::Request, login::Scope, names::Named, session::Session};
use crate::{plan::Failure, providers::http::Turns};

impl Client {
    /// The session for one of the projects that the login may enter, always the same one; `None` when
    /// there is none.
    ///
    /// # Errors
    /// Those of a login and of a call.
    pub(in crate::providers) async fn for_any_project(
        &self,
        turns: &dyn Turns,
    ) -> Result<Option<Arc<Session>>, Failure> {
        #[derive(Deserialize)]
        struct Projects {
            projects: Vec<Project>,
        }
        #[derive(Deserialize)]
        struct Project {
            id: String,
        }
        let mut session = self.session(turns, &Scope::None).await?;
        let request = Request::list(&["v3", "auth", "projects"]);
        let answer = self.call(turns, &mut session, request).await?;
        if answer.status != StatusCode::OK {
            return Err(answer::failure(&answer));
        }
        let listed: Projects = answer::read(&answer)?;
        let first = listed.projects.into_iter().map(|project| project.id).min();
        match first {
            Some(id) => self.for_project(turns, &Named::Id(id)).await.map(Some),
            None => Ok(None),
        }
    }
}
