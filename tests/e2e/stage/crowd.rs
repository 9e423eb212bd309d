//! Many requests at once, and when all that they lead to is over.

use super::*;

/// Crowds of requests, and the provider.
impl Stage {
    /// Creates so many requests at once: `r-000`, `r-001` and so on.
    pub async fn apply_crowd(&self, count: usize) {
        let requests: Vec<_> = (0..count)
            .map(|number| self.request(&format!("r-{number:03}")))
            .collect();
        futures::future::join_all(requests.iter().map(|request| self.apply(request))).await;
    }

    /// Waits until all requests of the team fulfil a condition, and returns them.
    pub async fn all(
        &self,
        what: &str,
        check: impl Fn(&CredentialRequest) -> bool,
    ) -> Vec<CredentialRequest> {
        self.all_within(SOON, what, check).await
    }

    /// The same with a deadline of its own.
    pub async fn all_within(
        &self,
        deadline: Duration,
        what: &str,
        check: impl Fn(&CredentialRequest) -> bool,
    ) -> Vec<CredentialRequest> {
        let result = eventually(deadline, || async {
            let requests = self.requests().list(&ListParams::default()).await?.items;
            match requests.iter().find(|request| !check(request)) {
                None => Ok(requests),
                Some(other) => Err(anyhow!(
                    "{what} does not hold for {}\n{}",
                    other.name_any(),
                    serde_json::to_string_pretty(&other.status)?
                )),
            }
        })
        .await;
        result.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Waits until all requests of the team are ready.
    pub async fn all_ready(&self) -> Vec<CredentialRequest> {
        self.all("Ready=True", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await
    }

    /// Changes a request by a merge patch.
    pub async fn change(&self, name: &str, patch: Value) -> CredentialRequest {
        self.requests()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap_or_else(|error| panic!("changing {name}: {error}"))
    }

    /// Waits until a condition of the provider has this status and reason.
    pub async fn provider_says(
        &self,
        deadline: Duration,
        type_: &str,
        (status, reason): (&str, &str),
    ) -> ClusterCredentialProvider {
        let result = eventually(deadline, || async {
            let provider = self.live_provider().await;
            let known = provider.status.clone().unwrap_or_default();
            if in_conditions(&known.conditions, type_) == (status, reason) {
                Ok(provider)
            } else {
                Err(anyhow!(
                    "{type_} is not {status}, {reason}:\n{}",
                    serde_json::to_string_pretty(&known)?
                ))
            }
        })
        .await;
        result.unwrap_or_else(|error| panic!("provider: {error:#}"))
    }

    /// Waits until the status of a cluster provider counts so many requests: it may lag behind by some
    /// seconds.
    pub async fn counted(&self, provider: &str, requests: usize) {
        let providers: Api<ClusterCredentialProvider> = Api::all(self.client.clone());
        let counted = eventually(SOON, || async {
            let status = providers.get(provider).await?.status.unwrap_or_default();
            ensure!(
                status.requests == i64::try_from(requests).ok(),
                "{:?} requests",
                status.requests
            );
            Ok(())
        });
        counted
            .await
            .unwrap_or_else(|error| panic!("{provider}: {error:#}"));
    }

    /// Waits until so many passes were settled since the operator started.
    pub async fn passes(&self, at_least: usize) {
        let settled = "credential_operator_passes_total{outcome=\"settled\"}";
        let made = eventually(SOON, || async {
            let passes = self.metric(settled).await.unwrap_or_default();
            ensure!(
                passes >= f64::from(u32::try_from(at_least)?),
                "{passes} passes"
            );
            Ok(())
        });
        made.await.expect("the operator looks at every request");
    }

    /// Waits until so many events about objects of the team say this.
    pub async fn told(&self, times: usize, words: &str) {
        let told = eventually(SOON, || async {
            let events = self.events().await;
            let matching = events.iter().filter(|event| event.contains(words)).count();
            ensure!(matching == times, "{words}: {matching} times in {events:?}");
            Ok(())
        });
        told.await.unwrap_or_else(|error| panic!("{error:#}"));
    }
}
