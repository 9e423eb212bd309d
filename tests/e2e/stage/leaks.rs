//! What every test ends with: nothing secret is anywhere but in Secrets.

use super::*;

impl Stage {
    /// What every test ends with: the operator ends in time, and nothing secret is anywhere but in
    /// Secrets.
    pub async fn finish(mut self) {
        let metrics = self.get("/metrics").await.unwrap_or_default();
        if self.operator.is_some() {
            let took = self.stop().await;
            assert!(
                took < Duration::from_secs(10),
                "the operator took {took:?} to end"
            );
        }
        let mut places = vec![("metrics".to_owned(), metrics)];
        for start in 1..=self.starts {
            places.push((format!("log of start {start}"), self.log(start)));
        }
        places.push((
            "requests".to_owned(),
            listed::<CredentialRequest>(&self.api()).await,
        ));
        places.push((
            "namespaced providers".to_owned(),
            listed::<CredentialProvider>(&self.api()).await,
        ));
        let provider: Api<ClusterCredentialProvider> = Api::all(self.client.clone());
        let provider = provider
            .get_opt(&self.team)
            .await
            .expect("the provider can be read");
        places.push((
            "provider".to_owned(),
            serde_json::to_string(&provider).expect("JSON"),
        ));
        places.push(("events".to_owned(), listed::<Event>(&self.api()).await));
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        places.push(("cluster events".to_owned(), listed(&events).await));
        let mut secrets = self.dce.secret_values();
        secrets.append(&mut self.more_secret_values);
        for (place, text) in &places {
            for secret in &secrets {
                for form in forms(secret) {
                    assert!(
                        !text.contains(&form),
                        "a secret value stands in the {place}"
                    );
                }
            }
        }
    }
}

/// A secret value in the forms in which it could get out.
fn forms(secret: &str) -> Vec<String> {
    // A base64 text inside of another one may begin at any of three places.
    let encoded = (0..3).map(|skip| {
        let padded = format!("{}{secret}", "x".repeat(skip));
        let text = BASE64_STANDARD.encode(padded);
        let text = text.trim_end_matches('=');
        text[4.min(text.len())..text.len().saturating_sub(2)].to_owned()
    });
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    encoded
        .chain([secret.to_owned(), url])
        .filter(|form| form.len() >= 12)
        .collect()
}

async fn listed<K>(api: &Api<K>) -> String
where
    K: Clone + DeserializeOwned + Debug + serde::Serialize,
{
    let list = api
        .list(&ListParams::default())
        .await
        .expect("objects can be listed");
    serde_json::to_string(&list.items).expect("JSON")
}
