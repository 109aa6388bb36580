//! From method and path of an admin request to what is asked for. Pure.

use hyper::Method;
use image_format::NodeId;

use crate::http::Error;

/// What is asked for on the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Which objects does the store lack?
    Missing,
    /// Store objects.
    Pack,
    /// Publish metadata.
    Commit,
    /// Which metadata is there?
    Names,
    /// All nodes.
    Nodes,
    /// One node.
    Node(NodeId),
    /// A node reports. The only one without a token, next to health.
    Report(NodeId),
    /// Is the process up?
    Health,
}

impl Route {
    /// Reads method and path.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadRequest`], [`Error::Method`].
    pub fn of(method: &Method, path: &str) -> Result<Self, Error> {
        let (route, allowed) = Self::by_path(path)?;
        let allows = allowed.split(", ").any(|name| name == method.as_str());
        if allows { Ok(route) } else { Err(Error::Method(allowed)) }
    }

    fn by_path(path: &str) -> Result<(Self, &'static str), Error> {
        let fixed = match path {
            "/v1/objects/missing" => Some((Self::Missing, "POST")),
            "/v1/objects" => Some((Self::Pack, "PUT")),
            "/v1/commit" => Some((Self::Commit, "POST")),
            "/v1/metadata" => Some((Self::Names, "GET")),
            "/v1/nodes" => Some((Self::Nodes, "GET")),
            "/healthz" => Some((Self::Health, "GET, HEAD")),
            _ => None,
        };
        if let Some(fixed) = fixed {
            return Ok(fixed);
        }
        let rest = path.strip_prefix("/v1/nodes/").ok_or_else(|| Error::NotFound("no such call".into()))?;
        let (id, report) = rest.strip_suffix("/report").map_or((rest, false), |id| (id, true));
        let node = id.parse().map_err(|error| Error::BadRequest(format!("{error}")))?;
        Ok(if report { (Self::Report(node), "POST") } else { (Self::Node(node), "GET") })
    }

    /// The route as a word for logs and metrics.
    pub fn word(path: &str) -> &'static str {
        match Self::by_path(path) {
            Ok((Self::Missing, _)) => "missing",
            Ok((Self::Pack, _)) => "pack",
            Ok((Self::Commit, _)) => "commit",
            Ok((Self::Names, _)) => "names",
            Ok((Self::Nodes, _)) => "nodes",
            Ok((Self::Node(_), _)) => "node",
            Ok((Self::Report(_), _)) => "report",
            Ok((Self::Health, _)) => "healthz",
            Err(_) => "none",
        }
    }

    /// Whether it needs the token.
    pub fn needs_token(&self) -> bool {
        !matches!(self, Self::Report(_) | Self::Health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_the_contract() {
        let node: NodeId = "52-54-00-12-34-56".parse().unwrap();
        for (method, path, route, open) in [
            (Method::POST, "/v1/objects/missing", Route::Missing, false),
            (Method::PUT, "/v1/objects", Route::Pack, false),
            (Method::POST, "/v1/commit", Route::Commit, false),
            (Method::GET, "/v1/metadata", Route::Names, false),
            (Method::GET, "/v1/nodes", Route::Nodes, false),
            (Method::GET, "/v1/nodes/52-54-00-12-34-56", Route::Node(node.clone()), false),
            (Method::POST, "/v1/nodes/52-54-00-12-34-56/report", Route::Report(node), true),
            (Method::GET, "/healthz", Route::Health, true),
        ] {
            let found = Route::of(&method, path).unwrap();
            assert_eq!((found.needs_token(), &found), (!open, &route));
            let refused = Route::of(&Method::DELETE, path).unwrap_err();
            assert!(
                matches!(refused, Error::Method(allowed) if allowed.starts_with(method.as_str())),
                "{path}"
            );
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for path in ["/", "/v1", "/v2/nodes", "/v1/objects/", "/v1/nodes2", "/admin.token", "*"] {
            assert!(matches!(Route::of(&Method::GET, path), Err(Error::NotFound(_))), "{path}");
        }
        for path in [
            "/v1/nodes/",
            "/v1/nodes/..",
            "/v1/nodes/%2e%2e",
            "/v1/nodes/A",
            "/v1/nodes/a/b/report",
            "/v1/nodes//report",
        ] {
            assert!(matches!(Route::of(&Method::GET, path), Err(Error::BadRequest(_))), "{path}");
        }
    }
}
