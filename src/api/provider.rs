//! `ClusterCredentialProvider` and `CredentialProvider`: how to reach an identity system, and who
//! may ask it for what.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cloudcenter::{CloudCenterGrant, CloudCenterProvider},
    cloudmc::{CloudMcGrant, CloudMcProvider},
    dce::{DceGrant, DceProvider},
    keystone::{KeystoneGrant, KeystoneProvider},
    reason::Reason,
    rules,
    soda::{SodaGrant, SodaProvider},
};

/// How many grants a provider may have.
pub const GRANTS: usize = 64;

/// Declares a provider kind. Both have the same spec and status; what differs is the scope, and
/// with it where Secrets may be and whether grants name namespaces.
macro_rules! provider_kind {
    ($(#[$meta:meta])* $kind:ident, $spec:ident) => {
        #[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $spec {
            /// A DaoCloud Enterprise 5.0.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub dce: Option<DceProvider>,
            /// An OpenStack Keystone.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub keystone: Option<KeystoneProvider>,
            /// A CloudMC.
            #[serde(default, skip_serializing_if = "Option::is_none", rename = "cloudMC")]
            pub cloud_mc: Option<CloudMcProvider>,
            /// A Cisco CloudCenter 4.x.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cloud_center: Option<CloudCenterProvider>,
            /// A SODA multi-cloud.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub soda: Option<SodaProvider>,
            /// Who may ask for what. Nothing is allowed that is not listed here; a withdrawn grant
            /// stops renewal and leaves the Secret as it is.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = GRANTS))]
            pub allow: Option<Vec<Grant>>,
            /// How much the provider is asked at most, by all requests together.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub budget: Option<Budget>,
        }

        impl From<$spec> for ProviderSpec {
            fn from(spec: $spec) -> Self {
                ProviderSpec {
                    dce: spec.dce,
                    keystone: spec.keystone,
                    cloud_mc: spec.cloud_mc,
                    cloud_center: spec.cloud_center,
                    soda: spec.soda,
                    allow: spec.allow.unwrap_or_default(),
                    budget: spec.budget.unwrap_or_default(),
                }
            }
        }
    };
}

provider_kind!(
    /// Declares an identity system for several namespaces.
    #[kube(
        group = "credential-operator.dev",
        version = "v1alpha1",
        kind = "ClusterCredentialProvider",
        plural = "clustercredentialproviders",
        status = "ProviderStatus",
        shortname = "ccredprov",
        category = "credentials",
        derive = "PartialEq",
        doc = "Says how to reach an identity system, and which namespaces may ask it for what.",
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
        printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
        printcolumn(name = "Requests", type_ = "integer", json_path = ".status.requests", description = "How many requests use it."),
        printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )]
    #[x_kube(
        validation = rules::exactly_one("name the system"),
        validation = rules::unchanged("the system cannot be changed; declare a new provider"),
        validation = Rule::new("!has(self.allow) || self.allow.all(g, has(g.namespaces))")
            .message("each grant of a ClusterCredentialProvider says for which namespaces it is (namespaces: {} for all)")
            .field_path(".allow"),
    )]
    ClusterCredentialProvider,
    ClusterCredentialProviderSpec
);

provider_kind!(
    /// Declares an identity system for one namespace.
    #[kube(
        group = "credential-operator.dev",
        version = "v1alpha1",
        kind = "CredentialProvider",
        plural = "credentialproviders",
        namespaced,
        status = "ProviderStatus",
        shortname = "credprov",
        category = "credentials",
        derive = "PartialEq",
        doc = "Says how to reach an identity system, for requests of the same namespace.",
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
        printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
        printcolumn(name = "Requests", type_ = "integer", json_path = ".status.requests", description = "How many requests use it."),
        printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )]
    #[x_kube(
        validation = rules::exactly_one("name the system"),
        validation = rules::unchanged("the system cannot be changed; declare a new provider"),
        validation = Rule::new("!has(self.allow) || self.allow.all(g, !has(g.namespaces))")
            .message("the grants of a CredentialProvider are for its own namespace; leave out namespaces")
            .field_path(".allow"),
    )]
    CredentialProvider,
    CredentialProviderSpec
);

/// The spec of either kind, with the defaults applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderSpec {
    /// A DaoCloud Enterprise 5.0.
    pub dce: Option<DceProvider>,
    /// An OpenStack Keystone.
    pub keystone: Option<KeystoneProvider>,
    /// A CloudMC.
    pub cloud_mc: Option<CloudMcProvider>,
    /// A Cisco CloudCenter 4.x.
    pub cloud_center: Option<CloudCenterProvider>,
    /// A SODA multi-cloud.
    pub soda: Option<SodaProvider>,
    /// Who may ask for what.
    pub allow: Vec<Grant>,
    /// How much the provider is asked at most.
    pub budget: Budget,
}

/// One entry of `allow`: which namespaces may ask for what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::at_least_one("name what is allowed"),
)]
pub struct Grant {
    /// The namespaces, by their labels; `{}` means all. The label `kubernetes.io/metadata.name`
    /// is set by the API server and safe to grant by; any other label is as safe as the right to
    /// set labels on namespaces. Only in a `ClusterCredentialProvider`, and required there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector_schema")]
    pub namespaces: Option<LabelSelector>,
    /// What they may ask a DCE for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dce: Option<DceGrant>,
    /// What they may ask a Keystone for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystone: Option<KeystoneGrant>,
    /// What they may ask a CloudMC for.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cloudMC")]
    pub cloud_mc: Option<CloudMcGrant>,
    /// What they may ask a CloudCenter for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_center: Option<CloudCenterGrant>,
    /// What they may ask a SODA for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soda: Option<SodaGrant>,
}

/// A label selector of which only such are accepted that mean something: one that cannot be read
/// would grant nothing and say nothing, and `NotIn` of no values would grant to everybody.
fn selector_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that a namespace has to have, with these values.",
                "type": "object",
                "maxProperties": 64,
                "additionalProperties": {"type": "string", "maxLength": 63},
            },
            "matchExpressions": {
                "description": "Conditions that a namespace's labels have to fulfil, all of them.",
                "type": "array",
                "maxItems": 32,
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"description": "The label.", "type": "string", "maxLength": 317},
                        "operator": {
                            "description": "Whether the value is `In` or `NotIn` `values`, or the label `Exists` or `DoesNotExist`.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "The values for `In` and `NotIn`.",
                            "type": "array",
                            "maxItems": 64,
                            "items": {"type": "string", "maxLength": 63},
                        },
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                        "message": "In and NotIn need values, Exists and DoesNotExist have none",
                    }],
                },
            },
        },
    })
}

/// How much a provider is asked at most, by all requests together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Calls per second, 1 to 10000; 20 when absent. Up to as many at once after a quiet second.
    /// Logins count as calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 10000").message("must be from 1 to 10000"))]
    pub requests_per_second: Option<i32>,
    /// Calls under way at the same time, 1 to 256; 8 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 256").message("must be from 1 to 256"))]
    pub concurrency: Option<i32>,
}

impl Budget {
    /// Calls per second.
    pub fn requests_per_second(&self) -> u32 {
        positive(self.requests_per_second, 20)
    }

    /// Calls under way at the same time.
    pub fn concurrency(&self) -> u32 {
        positive(self.concurrency, 8)
    }
}

fn positive(value: Option<i32>, default: u32) -> u32 {
    value
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| *value > 0)
        .unwrap_or(default)
}

/// What the operator knows about a provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// `Ready`, `Reconciling`, `Stalled`, and `Insecure` where the connection is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of; -1 before the first pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The endpoint, for the printer column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How many requests use the provider. Follows within seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    /// The last login, or the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginRecord>,
}

/// The last login at a provider. A login that was refused is not tried again by anybody before the
/// login Secret changes: systems lock accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginRecord {
    /// `LoginWorks`, or why it does not.
    pub reason: Reason,
    /// The versions of what was used: the login Secret, the certificates, and the provider's spec.
    pub inputs: String,
    /// When it was tried.
    pub time: Timestamp,
    /// How often it failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// When the provider asked not to be called before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What happened, for people; absent when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
