//! The few calls of S3 that stories make: buckets are made and listed, objects are put, got and listed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};

use super::s3::Refused;
use crate::server::{SimRequest, SimResponse};

/// A time for what has none.
const TIME: &str = "2026-01-01T00:00:00.000Z";

type Objects = BTreeMap<String, Bytes>;

/// The buckets of all projects, each by its project and name.
#[derive(Default)]
pub(super) struct Buckets(Mutex<BTreeMap<(String, String), Objects>>);

impl Buckets {
    /// Answers a request that is signed with a pair for a project.
    pub(super) fn serve(
        &self,
        project: &str,
        request: &SimRequest,
    ) -> Result<SimResponse, Refused> {
        let no_bucket = || Refused("NoSuchBucket", StatusCode::NOT_FOUND);
        let segments = request.segments().unwrap_or_default();
        let (bucket, key) = match segments.split_first() {
            Some((bucket, key)) => (bucket.clone(), key.join("/")),
            None => (String::new(), String::new()),
        };
        let place = (project.to_owned(), bucket);
        let mut buckets = self.0.lock().unwrap();
        match (&request.method, place.1.is_empty(), key.is_empty()) {
            (&Method::GET, true, _) => {
                let own = buckets.keys().filter(|(of, _)| of == project);
                let mut list = String::new();
                for (_, name) in own {
                    let _ = write!(
                        list,
                        "<Bucket><Name>{name}</Name><CreationDate>{TIME}</CreationDate></Bucket>"
                    );
                }
                let body = format!(
                    "<ListAllMyBucketsResult><Buckets>{list}</Buckets></ListAllMyBucketsResult>"
                );
                Ok(xml(StatusCode::OK, &body))
            }
            (&Method::PUT, false, true) => {
                buckets.entry(place).or_default();
                Ok(xml(StatusCode::OK, ""))
            }
            (&Method::PUT, false, false) => {
                let objects = buckets.get_mut(&place).ok_or_else(no_bucket)?;
                objects.insert(key, request.body.clone());
                Ok(xml(StatusCode::OK, ""))
            }
            (&Method::GET, false, true) => {
                let objects = buckets.get(&place).ok_or_else(no_bucket)?;
                let mut list = String::new();
                for (key, body) in objects {
                    let _ = write!(
                        list,
                        "<Contents><Key>{key}</Key><LastModified>{TIME}</LastModified><Size>{}</Size></Contents>",
                        body.len()
                    );
                }
                let body = format!(
                    "<ListBucketResult><IsTruncated>false</IsTruncated>{list}</ListBucketResult>"
                );
                Ok(xml(StatusCode::OK, &body))
            }
            (&Method::GET, false, false) => {
                let objects = buckets.get(&place).ok_or_else(no_bucket)?;
                let body = objects.get(&key);
                let body = body.ok_or(Refused("NoSuchKey", StatusCode::NOT_FOUND))?;
                Ok(Response::new(body.clone()))
            }
            (method, _, _) => Err(Refused::not_simulated(method)),
        }
    }
}

/// An answer in XML; an empty one has no body.
pub(super) fn xml(status: StatusCode, body: &str) -> SimResponse {
    let response = Response::builder().status(status);
    if body.is_empty() {
        return response.body(Bytes::new()).unwrap();
    }
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    let response = response.header(header::CONTENT_TYPE, "application/xml");
    response.body(body.into()).unwrap()
}
