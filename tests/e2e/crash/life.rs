//! What differs from kind to kind in the lives that are played.

use std::{fmt::Debug, future::Future};

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use testkit::wire::{CallHead, WireProxy};

use crate::stage::Stage;

/// One life of one request, by the name of `it`, and the provider that it has to do with.
pub trait Life: Send + Sync + Sized + 'static {
    /// Which of the kinds that live alike.
    type Kind: Copy + Debug + Send + Sync + 'static;

    /// Sets up the stage, the provider, and everything that the request and the changed request may
    /// ask for. No operator yet.
    fn begin(kind: Self::Kind) -> impl Future<Output = Self> + Send;

    /// The stage.
    fn stage(&self) -> &Stage;

    /// The stage, to start and to kill the operator on it.
    fn stage_mut(&mut self) -> &mut Stage;

    /// Between the operator and the server where credentials are made and revoked.
    fn wire(&self) -> &WireProxy;

    /// Waits until the provider can be used.
    fn provider_ready(&self) -> impl Future<Output = ()> + Send;

    /// The request, with an overlap of a second.
    fn request(&self) -> Value;

    /// The same request, asking for something else.
    fn changed(&self) -> Value;

    /// What these two ask for, in the words of [`Self::alive`].
    fn purposes(&self) -> [String; 2];

    /// A call to the provider in a few words: ids are left out.
    fn label(call: &CallHead) -> String;

    /// The calls to the provider that change something in a fault-free life, in their order. A new one
    /// cannot slip in without standing here.
    fn at_provider(kind: Self::Kind) -> &'static [&'static str];

    /// What is alive at the provider: ids, and what they are for. What was there before and may not be
    /// touched is not among it, unless somebody has touched it.
    fn alive(&self) -> impl Future<Output = Vec<(String, String)>> + Send;

    /// Whether the provider takes what the Secret holds, its secret included.
    fn works(&self, secret: &Secret) -> impl Future<Output = bool> + Send;

    /// What every life ends with; see [`Stage::finish`].
    fn finish(self) -> impl Future<Output = ()> + Send;
}
