//! What every test ends with: nothing secret is anywhere but in Secrets.

use super::*;

/// What published Secrets hold beside secrets.
const PUBLIC: [&str; 16] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_AUTH_TYPE",
    "OS_AUTH_URL",
    "OS_IDENTITY_API_VERSION",
    "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME",
    "OS_PROJECT_ID",
    "OS_PROJECT_NAME",
    "OS_REGION_NAME",
    "ca.crt",
    "endpoint",
    "expiry",
];

impl Stage {
    /// The Secret of a request. What is secret in it is remembered, and looked for in the end.
    pub async fn secret(&self, name: &str) -> Secret {
        let secret = self
            .api::<Secret>()
            .get(name)
            .await
            .unwrap_or_else(|error| panic!("Secret {name}: {error}"));
        let values = secret.data.iter().flatten();
        let values = values.map(|(key, value)| (key.as_str(), value.0.clone()));
        self.read_secrets
            .lock()
            .expect("no panic")
            .extend(secrets_among(values));
        secret
    }

    /// All secrets that the operator has written into Secrets, whether or not they are still there.
    fn written_secrets(&self) -> BTreeSet<String> {
        let calls = self.wire.calls_where(|call| {
            let meant = call.kubernetes();
            call.is_changing() && meant.is_some_and(|meant| meant.resource == "secrets")
        });
        let mut secrets = BTreeSet::new();
        for body in calls.iter().filter_map(|call| call.json()) {
            let data = body["data"].as_object().into_iter().flatten();
            let values = data.filter_map(|(key, value)| {
                let value = BASE64_STANDARD.decode(value.as_str()?).ok()?;
                Some((key.as_str(), value))
            });
            secrets.extend(secrets_among(values));
        }
        secrets
    }

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
        let providers: Api<ClusterCredentialProvider> = Api::all(self.client.clone());
        let own = ListParams::default().labels(&format!("stage={}", self.team));
        places.push((
            "cluster providers".to_owned(),
            listed_by(&providers, &own).await,
        ));
        places.push(("events".to_owned(), listed::<Event>(&self.api()).await));
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        places.push(("cluster events".to_owned(), listed(&events).await));
        let mut secrets = self.written_secrets();
        secrets.extend(self.dce.secret_values());
        secrets.append(&mut self.read_secrets.lock().expect("no panic"));
        secrets.extend(std::mem::take(&mut self.more_secret_values));
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
        let inner = text.get(4..text.len().saturating_sub(2));
        inner.unwrap_or_default().to_owned()
    });
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    encoded
        .chain([secret.to_owned(), url])
        .filter(|form| form.len() >= 12)
        .collect()
}

/// What is secret among the values of a Secret.
fn secrets_among<'a>(
    values: impl Iterator<Item = (&'a str, Vec<u8>)>,
) -> impl Iterator<Item = String> {
    values
        .filter(|(key, _)| !PUBLIC.contains(key))
        .filter_map(|(_, value)| String::from_utf8(value).ok())
}

async fn listed<K>(api: &Api<K>) -> String
where
    K: Clone + DeserializeOwned + Debug + serde::Serialize,
{
    listed_by(api, &ListParams::default()).await
}

async fn listed_by<K>(api: &Api<K>, which: &ListParams) -> String
where
    K: Clone + DeserializeOwned + Debug + serde::Serialize,
{
    let list = api.list(which).await.expect("objects can be listed");
    serde_json::to_string(&list.items).expect("JSON")
}
