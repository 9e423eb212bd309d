//! The credentials of the login's own user, as `/v3/credentials` lists them.

use std::sync::Arc;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    Client,
    access_key::{Row, Rows},
    answer,
    client::Request,
    identity,
    session::Session,
};
use crate::{plan::Failure, providers::http::Turns};

impl Client {
    /// The credentials of the login's own user, of all projects and types. `None` where the login, or
    /// what stands before Keystone, does not let them be listed.
    ///
    /// # Errors
    /// Those of a login and of a call.
    pub(in crate::providers) async fn own_credentials(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
    ) -> Result<Option<Vec<Held>>, Failure> {
        let own = session.user.id.clone();
        let request = Request {
            query: &[("user_id", &own)],
            ..Request::list(&["v3", "credentials"])
        };
        let answer = self.call(turns, session, request).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => return Ok(None),
            _ => return Err(answer::failure(&answer)),
        }
        let rows: Rows = answer::read(&answer)?;
        rows.are_all()?;
        let own = rows
            .credentials
            .into_iter()
            .filter(|row| row.user_id == own);
        Ok(Some(own.map(Held::from).collect()))
    }
}

/// A credential of the login's own user, without what is secret in it.
pub(in crate::providers) struct Held {
    /// Its id.
    pub id: String,
    /// Its type, such as `ec2`.
    pub kind: String,
    /// The project that it is for.
    pub project: Option<String>,
    /// Its access key, if it is a pair.
    pub access: Option<String>,
    /// Whether it was made for a request.
    pub is_ours: bool,
    /// Whether it is written as an object, as pairs are.
    pub is_object: bool,
}

impl From<Row> for Held {
    fn from(row: Row) -> Self {
        #[derive(Deserialize)]
        struct Blob {
            #[serde(default)]
            access: Option<String>,
            #[serde(default)]
            managed_by: Option<String>,
        }
        let text = row.blob.as_ref().map_or("", |blob| blob.as_str());
        let blob: Option<Blob> = serde_json::from_str(text).ok();
        let by = blob.as_ref().and_then(|blob| blob.managed_by.as_deref());
        Held {
            is_ours: by.is_some_and(|by| by.starts_with(identity::MARK)),
            // As SODA reads it.
            is_object: blob.is_some() && text.trim_start().starts_with('{') && !text.contains('`'),
            access: blob
                .and_then(|blob| blob.access)
                .filter(|_| row.kind == "ec2"),
            id: row.id,
            kind: row.kind,
            project: row.project_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(kind: &str, blob: &str) -> Held {
        let row = json!({"id": "i", "user_id": "u", "project_id": "p", "type": kind, "blob": blob});
        Held::from(serde_json::from_value::<Row>(row).unwrap())
    }

    #[test]
    fn what_is_ours_says_so_and_what_spoils_a_list_is_known() {
        let ours = json!({
            "access": "a", "secret": "s", "managed_by": format!("{} in cluster c", identity::MARK),
        });
        for (kind, blob, access, is_ours, is_object) in [
            ("ec2", ours.to_string().as_str(), Some("a"), true, true),
            (
                "ec2",
                r#"{"access":"a","secret":"s"}"#,
                Some("a"),
                false,
                true,
            ),
            (
                "ec2",
                r#"{"access":"a","managed_by":"me"}"#,
                Some("a"),
                false,
                true,
            ),
            // Of another type it is no pair, whatever stands in it.
            ("cert", r#"{"access":"a"}"#, None, false, true),
            ("cert", "{}", None, false, true),
            ("totp", "GEZDGNBVGY3TQOJQ", None, false, false),
            ("cert", "[]", None, false, false),
            ("cert", "null", None, false, false),
            ("cert", r#"{"access":7}"#, None, false, false),
            ("cert", r#"{"access":"`"}"#, None, false, false),
            ("cert", "", None, false, false),
        ] {
            let held = held(kind, blob);
            assert_eq!(held.access.as_deref(), access, "{kind} {blob}");
            assert_eq!(held.is_ours, is_ours, "{kind} {blob}");
            assert_eq!(held.is_object, is_object, "{kind} {blob}");
        }
    }
}
