//! The files of the page that are part of the program.

use std::borrow::Cow;
use std::io::{self, Read as _};

use flate2::read::GzDecoder;

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedFile {
    /// The path of a request for it, such as `/_app/version.json`.
    pub path: &'static str,
    /// Its content, which may be compressed.
    pub bytes: &'static [u8],
    /// Whether `bytes` are compressed with gzip.
    pub is_gzip: bool,
}

/// What `cargo xtask web` had built when the program was compiled, empty if it had not been run.
pub static EMBEDDED: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

impl EmbeddedFile {
    /// The content without compression.
    ///
    /// # Errors
    /// If the compressed content is damaged.
    pub fn plain(&self) -> io::Result<Cow<'static, [u8]>> {
        if !self.is_gzip {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let mut plain = Vec::new();
        GzDecoder::new(self.bytes).read_to_end(&mut plain)?;
        Ok(Cow::Owned(plain))
    }

    /// Whether its name changes with its content.
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("/_app/immutable/")
    }

    /// The media type by the extension of its name.
    pub fn media_type(&self) -> &'static str {
        let extension = self.path.rsplit_once('.').map_or("", |(_, found)| found);
        match extension {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "json" => "application/json",
            "webmanifest" => "application/manifest+json",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "ico" => "image/x-icon",
            "woff2" => "font/woff2",
            "txt" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_files_are_readable_and_of_known_types() {
        for file in EMBEDDED {
            assert!(file.plain().is_ok(), "{}", file.path);
            assert_ne!(
                file.media_type(),
                "application/octet-stream",
                "{}",
                file.path
            );
            assert!(
                file.path.starts_with('/') && !file.path.contains(".."),
                "{}",
                file.path
            );
        }
    }
}
