//! Under which keys of a Secret the fields of CloudMC stand.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::fields::Fields;
use crate::{
    api::{
        Reason,
        cloudmc::{CloudMcKey, CloudMcPreset, LONGEST_VALUE, MOST_KEYS},
        names::{NO_NAME, is_name},
        validate,
    },
    plan::{Failure, Refusal},
    providers::http::failed,
    secret::{SecretData, aws_profile, fits_profile, is_of_profile},
};

/// The field of a request that says which keys there are.
pub const KEYS: &str = "spec.cloudMC.serviceKeys.keys";
/// How many missing fields a message names.
const MOST_NAMED: usize = 4;
/// What cannot stand in a profile of clients of S3, as [`fits_profile`] has it.
const UNFIT: &str =
    "white space, control characters, a '#' or ';' at its beginning, or a quote at either end";

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// Each field under its own name.
    All,
    /// These keys and no others.
    Keys(BTreeMap<String, Source>),
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A field of CloudMC's answer.
    Field(String),
    /// A field, or a text where there is no such field.
    FieldOr(String, &'static str),
    /// A text.
    Value(String),
    /// The file for clients of S3, made of the other keys.
    AwsProfile,
}

/// Where a key of a preset comes from.
enum Origin {
    Field(&'static str),
    FieldOr(&'static str, &'static str),
    Value(&'static str),
    /// From where another key comes, also where the request says otherwise for that one.
    As(&'static str),
    /// The file for clients of S3, made of the other keys.
    AwsProfile,
}

/// The keys of a preset. Which ones clients need, with what in them: CloudMC, "How to obtain service API
/// keys"; the domain is the one of the portal's pictures there, without which clients of v3 find no
/// user; `OS_TENANT_NAME` and `AWS_DEFAULT_REGION` are what old clients and those of Python look for.
/// How the fields are called is not documented: these are the portal's labels, written like the four
/// names in the sample of "Retrieve API credentials".
fn keys_of(preset: CloudMcPreset) -> &'static [(&'static str, Origin)] {
    match preset {
        CloudMcPreset::OpenStackV3 => &[
            ("OS_AUTH_URL", Origin::Field("auth_url")),
            ("OS_IDENTITY_API_VERSION", Origin::Value("3")),
            ("OS_USERNAME", Origin::Field("username")),
            ("OS_PASSWORD", Origin::Field("password")),
            ("OS_PROJECT_NAME", Origin::Field("project_name")),
            ("OS_USER_DOMAIN_ID", Origin::FieldOr("domain_id", "default")),
            ("OS_PROJECT_DOMAIN_ID", Origin::As("OS_USER_DOMAIN_ID")),
        ],
        CloudMcPreset::OpenStackV2 => &[
            ("OS_AUTH_URL", Origin::Field("auth_endpoint")),
            ("OS_USERNAME", Origin::Field("username")),
            ("OS_PASSWORD", Origin::Field("password")),
            ("OS_PROJECT_NAME", Origin::Field("project_name")),
            ("OS_TENANT_NAME", Origin::As("OS_PROJECT_NAME")),
        ],
        CloudMcPreset::S3 => &[
            ("AWS_ACCESS_KEY_ID", Origin::Field("s3_access_key")),
            ("AWS_SECRET_ACCESS_KEY", Origin::Field("s3_secret_key")),
            ("AWS_ENDPOINT_URL_S3", Origin::Field("s3_endpoint")),
            ("AWS_REGION", Origin::Field("s3_region")),
            ("AWS_DEFAULT_REGION", Origin::As("AWS_REGION")),
            // So that the Secret, mounted as `~/.aws`, is all that a client needs.
            ("credentials", Origin::AwsProfile),
        ],
    }
}

fn invalid(what: &str) -> Refusal {
    Refusal::new(Reason::InvalidSpec, format!("{KEYS}: {what}"))
}

impl Form {
    /// Reads what a request says.
    ///
    /// # Errors
    /// `InvalidSpec` with the field.
    pub fn read(
        preset: Option<CloudMcPreset>,
        keys: Option<&[CloudMcKey]>,
    ) -> Result<Form, Refusal> {
        if keys.is_some_and(|keys| keys.is_empty() || keys.len() > MOST_KEYS) {
            return Err(invalid(&format!(
                "must have from 1 to {MOST_KEYS} entries, or be left out"
            )));
        }
        if preset.is_none() && keys.is_none() {
            return Ok(Form::All);
        }
        let mut all = BTreeMap::new();
        for (number, key) in keys.into_iter().flatten().enumerate() {
            let source = source(number, key)?;
            validate::secret_key(&format!("{KEYS}[{number}].as"), Some(&key.r#as))?;
            if !is_key(&key.r#as) {
                return Err(invalid(
                    "a key of a Secret cannot be '.' or begin with '..'",
                ));
            }
            if all.insert(key.r#as.clone(), source).is_some() {
                return Err(invalid(&format!(
                    "two entries are put under the key {}; each key may be there once",
                    key.r#as
                )));
            }
        }
        for (key, from) in preset.map(keys_of).into_iter().flatten() {
            if all.contains_key(*key) {
                continue;
            }
            let source = match from {
                Origin::Field(field) => Source::Field((*field).to_owned()),
                Origin::FieldOr(field, text) => Source::FieldOr((*field).to_owned(), text),
                Origin::Value(text) => Source::Value((*text).to_owned()),
                Origin::AwsProfile => Source::AwsProfile,
                // It stands before this one.
                Origin::As(other) => match all.get(*other) {
                    Some(source) => source.clone(),
                    None => continue,
                },
            };
            all.insert((*key).to_owned(), source);
        }
        unfit_for_profile(&all)?;
        Ok(Form::Keys(all))
    }

    /// What goes into the Secret.
    ///
    /// # Errors
    /// `ScopeRefused` with the field that is missing; `UnexpectedAnswer` where the fields cannot be keys, or
    /// cannot stand in the file for clients of S3.
    pub fn lay_out(&self, fields: &Fields) -> Result<SecretData, Failure> {
        match self {
            Form::All => all(fields),
            Form::Keys(keys) => {
                let mut data = SecretData::default();
                let mut lacking = BTreeSet::new();
                for (key, source) in keys {
                    let value = match source {
                        Source::AwsProfile => continue,
                        Source::Value(text) => Some(text.as_str()),
                        Source::FieldOr(field, text) => Some(fields.value(field)?.unwrap_or(text)),
                        Source::Field(field) => {
                            let value = fields.value(field)?;
                            if value.is_none() {
                                lacking.insert(field.as_str());
                            }
                            value
                        }
                    };
                    data = data.with(key, value.unwrap_or_default());
                }
                if !lacking.is_empty() {
                    return Err(missing(&lacking));
                }
                with_profiles(keys, data).map_err(|key| {
                    failed(
                        Reason::UnexpectedAnswer,
                        format!(
                            "CloudMC shows for {key} something that cannot stand in a profile of clients of S3, which \
                             may not have {UNFIT}. State in {KEYS} an entry as: {key} with another field or a value, or one \
                             as: credentials, which takes the place of the file. What is in the Secret stays as it is"
                        ),
                    )
                })
            }
        }
    }

    /// What has no value any more, of what was laid out before; `now` is what these fields lay out. Who chooses
    /// keys is told which; otherwise they are CloudMC's own names of fields, and it is told how many.
    ///
    /// # Errors
    /// `UnexpectedAnswer` where a field cannot be read.
    pub fn gone(
        &self,
        fields: &Fields,
        before: &SecretData,
        now: &SecretData,
    ) -> Result<Option<String>, Failure> {
        let Form::Keys(keys) = self else {
            let gone = before.keys().filter(|key| now.get(key).is_none()).count();
            return Ok((gone > 0).then(|| format!("{gone} of the fields that were read before")));
        };
        let mut gone = Vec::new();
        for (key, source) in keys {
            // A text that takes the place of a field is for who never had it. Otherwise the field may be
            // hidden, or was left out once.
            if let Source::FieldOr(field, text) = source
                && before
                    .get(key)
                    .is_some_and(|value| value != text.as_bytes())
                && fields.value(field)?.is_none()
            {
                gone.push(key.as_str());
            }
        }
        Ok((!gone.is_empty()).then(|| gone.join(", ")))
    }

    /// All keys again from those that hold a field; none when one of them is missing, or where nothing
    /// but fields is published.
    pub fn recovered(&self, found: &SecretData) -> Option<SecretData> {
        let Form::Keys(keys) = self else { return None };
        let data = keys
            .iter()
            .try_fold(SecretData::default(), |data, (key, source)| {
                Some(match source {
                    Source::Value(text) => data.with(key, text.as_str()),
                    Source::Field(_) | Source::FieldOr(..) => data.with(key, found.get(key)?),
                    Source::AwsProfile => data,
                })
            })?;
        with_profiles(keys, data).ok()
    }
}

/// Adds what is made of the other keys.
fn with_profiles(
    keys: &BTreeMap<String, Source>,
    mut data: SecretData,
) -> Result<SecretData, &'static str> {
    for (key, source) in keys {
        if matches!(source, Source::AwsProfile) {
            let profile = aws_profile(&data)?;
            data = data.with(key, profile.as_str());
        }
    }
    Ok(data)
}

/// What a request states for a profile and what cannot stand there.
fn unfit_for_profile(keys: &BTreeMap<String, Source>) -> Result<(), Refusal> {
    if !keys
        .values()
        .any(|source| matches!(source, Source::AwsProfile))
    {
        return Ok(());
    }
    for (key, source) in keys {
        if let Source::Value(text) = source
            && is_of_profile(key)
            && !fits_profile(text)
        {
            return Err(invalid(&format!(
                "the value of {key} may not have {UNFIT}: it stands in a profile of clients of S3"
            )));
        }
    }
    Ok(())
}

fn source(number: usize, key: &CloudMcKey) -> Result<Source, Refusal> {
    let invalid = |field: &str, what: &str| {
        Refusal::new(
            Reason::InvalidSpec,
            format!("{KEYS}[{number}]{field}: {what}"),
        )
    };
    match (&key.field, &key.value) {
        (Some(field), None) if is_name(field) => Ok(Source::Field(field.clone())),
        (Some(_), None) => Err(invalid(".field", NO_NAME)),
        (None, Some(value)) if (1..=LONGEST_VALUE).contains(&value.chars().count()) => {
            Ok(Source::Value(value.clone()))
        }
        (None, Some(_)) => Err(invalid(
            ".value",
            &format!("must have from 1 to {LONGEST_VALUE} characters"),
        )),
        _ => Err(invalid("", "state either field or value")),
    }
}

/// The names are the request's own or a preset's: what CloudMC calls its fields is never shown.
fn missing(fields: &BTreeSet<&str>) -> Failure {
    let mut names = fields
        .iter()
        .take(MOST_NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if fields.len() > MOST_NAMED {
        names.push_str(" and others");
    }
    failed(
        Reason::ScopeRefused,
        format!(
            "CloudMC does not show what the request takes from it, or shows it empty: {names}. Name other fields in {KEYS}, or \
             a value for what CloudMC does not tell. What is in the Secret stays as it is"
        ),
    )
}

/// Each field that has a value under its own name.
fn all(fields: &Fields) -> Result<SecretData, Failure> {
    let unexpected = |what: &str| {
        failed(
            Reason::UnexpectedAnswer,
            format!("CloudMC {what}; choose fields in {KEYS}"),
        )
    };
    let mut data = SecretData::default();
    for (name, value) in fields.with_values()? {
        let key = key_for(name)
            .ok_or_else(|| unexpected("shows a field whose name cannot be a key of a Secret"))?;
        if data.get(&key).is_some() {
            return Err(unexpected(
                "shows two fields that would stand under the same key of the Secret",
            ));
        }
        data = data.with(&key, value);
    }
    if data.keys().next().is_none() {
        return Err(failed(
            Reason::UnexpectedAnswer,
            "CloudMC shows no field with a value, which proves nothing; what is in the Secret stays as it is",
        ));
    }
    Ok(data)
}

/// The key of a Secret for a field: letters, digits, `-`, `_` and `.` stay (Kubernetes accepts no others),
/// each other character becomes `_`.
fn key_for(name: &str) -> Option<String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
    let key: String = name
        .chars()
        .map(|char| if allowed(char) { char } else { '_' })
        .collect();
    (!key.is_empty() && key.len() <= 253 && is_key(&key)).then_some(key)
}

/// Of what has the right characters: Kubernetes makes files of keys, and these would lead elsewhere.
fn is_key(key: &str) -> bool {
    key != "." && !key.starts_with("..")
}
