//! The content security policy of the page.

use axum::http::HeaderValue;
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

/// Everything that the policy allows apart from scripts. Styles in attributes are positions and sizes that scripts compute.
const DIRECTIVES: &str = "style-src-elem 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; media-src blob:; \
     font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The policy for a page that may run its own files, the scripts in its markup, and nothing else.
pub fn content_security_policy(html: &str) -> HeaderValue {
    let hashes: String = inline_scripts(html).map(source).collect();
    let policy = format!("default-src 'none'; script-src 'self'{hashes}; {DIRECTIVES}");
    // It is ASCII, so that the other one, which allows nothing, is never used.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
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
