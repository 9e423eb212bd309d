//! What a request leaves behind that goes without waiting: a credential that expires by itself is
//! revoked, if the Secret is still there to say what it is. The garbage collector is about to take
//! that along, so this is best effort.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

use super::{
    context::Context,
    key::{ProviderKey, RequestKey},
};
use crate::{
    api::{CredentialRequest, annotations, validate},
    providers::Kind,
    secret::SecretData,
};

/// Revokes what the Secret of a request holds that is gone, where its kind asks for that.
pub fn part(context: &Arc<Context>, key: &RequestKey, request: &CredentialRequest) {
    let Some(kind) = Kind::of(&request.spec).filter(|kind| kind.traits().parting) else {
        return;
    };
    if request.spec.deletion_policy == Some(crate::api::request::DeletionPolicy::Retain) {
        return;
    }
    let provider = ProviderKey::of(&request.spec.provider_ref, &key.namespace);
    let Some(link) = context.links.get(&provider) else {
        return;
    };
    let (_, connection) = link.access();
    let (Some(connection), Some(uid)) = (connection, request.uid()) else {
        return;
    };
    let name = validate::target_name(&request.spec, &key.name);
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    let (context, key) = (Arc::clone(context), key.clone());
    tokio::spawn(async move {
        let Ok(Some(secret)) = api.get_opt(&name).await else {
            tracing::info!(request = %key, "a credential was left to expire: its Secret went before it could be read");
            return;
        };
        if secret.labels().get(annotations::REQUEST_UID) != Some(&uid) {
            return;
        }
        let keys = secret.data.iter().flatten().map(|(key, _)| key.as_str());
        let data = SecretData::select(secret.data.as_ref(), keys);
        let turns = link.budget.passerby();
        let outcome = connection.part(&turns, kind, &data).await;
        if let Err(failure) = &outcome {
            let reason = failure.reason;
            tracing::info!(request = %key, %reason, "a credential was left to expire");
        }
        let outcome = outcome.map_err(|failure| failure.reason);
        context
            .metrics
            .call(&provider.to_string(), "revoke", outcome);
    });
}
