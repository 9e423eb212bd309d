//! The three `CustomResourceDefinition`s, as they are shipped.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{ClusterCredentialProvider, CredentialProvider, CredentialRequest, rules};

/// All kinds, in the order in which they are documented.
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        CredentialRequest::crd(),
        with_secrets(CredentialProvider::crd(), false),
        with_secrets(ClusterCredentialProvider::crd(), true),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// One definition as YAML.
///
/// # Errors
/// When the definition cannot be written as YAML, which would be a defect of the operator.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser_error::Error> {
    let yaml = serde_saphyr::to_string(crd)?;
    // Between the paragraphs of a description.
    let lines = yaml
        .lines()
        .map(|line| if line.trim().is_empty() { "" } else { line });
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// A provider's definition with the rules about the namespaces of Secrets, which depend on its scope.
fn with_secrets(mut crd: CustomResourceDefinition, cluster: bool) -> CustomResourceDefinition {
    let specs = crd.spec.versions.iter_mut().filter_map(|version| {
        let root = version.schema.as_mut()?.open_api_v3_schema.as_mut()?;
        root.properties.as_mut()?.get_mut("spec")
    });
    for spec in specs {
        let rules = spec.x_kubernetes_validations.get_or_insert_default();
        rules.extend(rules::namespaces_of_secrets(cluster));
    }
    crd
}

/// What the derive cannot say: `status` begins with an observed generation that no object has, so
/// that tools which read kstatus do not take a new object for a finished one.
fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            forbid_null(schema);
        }
        let status = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
            .and_then(|root| root.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
            conditions_are_keyed_by_type(status);
        }
    }
    crd
}

/// An absent field and one that is `null` are the same: without `nullable`, the API server drops
/// the `null`, and rules that ask whether a field is there need not ask what is in it.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        forbid_null(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        forbid_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forbid_null(values);
    }
}

/// Lets clients patch one condition without sending the others.
fn conditions_are_keyed_by_type(status: &mut JSONSchemaProps) {
    let conditions = status
        .properties
        .as_mut()
        .and_then(|properties| properties.get_mut("conditions"));
    if let Some(conditions) = conditions {
        conditions.x_kubernetes_list_type = Some("map".to_owned());
        conditions.x_kubernetes_list_map_keys = Some(vec!["type".to_owned()]);
    }
}
