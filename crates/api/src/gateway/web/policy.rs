//! The content security policies of the page, and of the document that shows previews in it.

use axum::http::HeaderValue;
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

/// Everything that the policy allows apart from scripts. Styles in attributes are positions and sizes that scripts compute.
const DIRECTIVES: &str = "style-src-elem 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; media-src blob:; \
     font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// Everything that the policy of previews allows apart from scripts. They have an origin of their own, also if they are opened
/// without the page.
const PREVIEW_DIRECTIVES: &str = "style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'self'; sandbox allow-scripts";

/// The policy for a page that may run its own files, the scripts in its markup, and nothing else.
pub fn content_security_policy(html: &str) -> HeaderValue {
    let hashes = hashes(html);
    header_value(format!(
        "default-src 'none'; script-src 'self'{hashes}; {DIRECTIVES}"
    ))
}

/// The policy for the document that shows what models wrote: it may run the scripts in its markup and those that they create,
/// and may send no requests. Its origin is opaque, so that it could not request files of the page anyway.
pub fn preview_policy(html: &str) -> HeaderValue {
    let hashes = hashes(html);
    header_value(format!(
        "default-src 'none'; script-src blob:{hashes}; {PREVIEW_DIRECTIVES}"
    ))
}

fn header_value(policy: String) -> HeaderValue {
    // It is ASCII, so that the other one, which allows nothing, is never used.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The scripts in the markup as sources of the policy.
fn hashes(html: &str) -> String {
    inline_scripts(html).map(source).collect()
}

/// The hash of a script as a source of the policy, with a space in front.
fn source(script: &str) -> String {
    format!(" 'sha256-{}'", BASE64.encode(&Sha256::digest(script)))
}

/// The scripts in the markup that are not files.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (script, _) = rest.split_once("</script>")?;
        (!attributes.contains("src=")).then_some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_has_the_hash_of_each_script_in_the_markup() {
        let html = "<head><script src=\"/theme.js\"></script></head>\
             <script>\nstart()\n</script><script type=\"module\">x</script>";
        let policy = content_security_policy(html);
        let policy = policy.to_str().unwrap();
        let expected = format!(
            "script-src 'self'{}{}; ",
            source("\nstart()\n"),
            source("x")
        );
        assert!(policy.contains(&expected), "{policy}");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        for part in ["; connect-src 'self'; ", "; manifest-src 'self'; "] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(policy.matches("sha256-").count(), 2);
    }

    #[test]
    fn previews_may_run_their_own_script_and_send_nothing() {
        let policy = preview_policy("<body><script>\nshow()\n</script></body>");
        let policy = policy.to_str().unwrap();
        let expected = format!("script-src blob:{}; ", source("\nshow()\n"));
        assert!(policy.contains(&expected), "{policy}");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.ends_with("; sandbox allow-scripts"), "{policy}");
        for source in ["connect-src", "http:", "https:", "*", "unsafe-eval"] {
            assert!(!policy.contains(source), "{policy}");
        }
    }

    #[test]
    fn hash_is_sha_256_in_base64() {
        // Of no bytes.
        assert_eq!(
            source(""),
            " 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
        );
    }

    #[test]
    fn page_without_scripts_allows_none_in_its_markup() {
        let policy = content_security_policy("<h1>No scripts</h1>");
        assert!(policy.to_str().unwrap().contains("script-src 'self'; "));
    }
}
