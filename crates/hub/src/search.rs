//! Search for models.

use hf_hub::repository::{ModelInfo, SafeTensorsInfo};

use crate::api::Api;
use crate::error::HubError;
use crate::http::RequestTarget;
use crate::info::{ModelSummary, SearchQuery};

const MLX_TAG: &str = "mlx";
/// The hub's largest page, which is also its default.
const MAX_PAGE: usize = 1000;
/// What is requested of each model. The listing of the client library omits the weights.
const FIELDS: [&str; 9] = [
    "downloads",
    "gated",
    "lastModified",
    "library_name",
    "likes",
    "pipeline_tag",
    "private",
    "safetensors",
    "tags",
];

impl Api {
    /// Searches for models; a page without models ends the list.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<ModelSummary>, HubError> {
        let models = self.with_retries(|| self.found(query)).await?;
        Ok(models.into_iter().skip(query.offset).map(summary).collect())
    }

    async fn found(&self, query: &SearchQuery) -> Result<Vec<ModelInfo>, HubError> {
        let target = RequestTarget {
            repo: "",
            revision: None,
            file: None,
        };
        // The hub's cursors are opaque, so what comes before the offset is requested, too.
        let wanted = query.offset.saturating_add(query.limit);
        let mut url = self.http.url(["api", "models"]);
        {
            let mut pairs = url.query_pairs_mut();
            let filter = query.mlx_only.then_some(MLX_TAG);
            let conditions = [
                ("search", query.text.as_deref()),
                ("author", query.author.as_deref()),
                ("filter", filter),
                ("sort", Some(query.sort.field())),
            ];
            for (name, value) in conditions {
                if let Some(value) = value {
                    pairs.append_pair(name, value);
                }
            }
            if wanted < MAX_PAGE {
                pairs.append_pair("limit", &wanted.to_string());
            }
            for field in FIELDS {
                pairs.append_pair("expand", field);
            }
        }
        let mut models = Vec::new();
        let mut next = Some(url);
        while models.len() < wanted
            && let Some(url) = next
        {
            let (page, following) = self.page::<ModelInfo>(&url, target).await?;
            // A page could link to itself.
            next = following.filter(|_| !page.is_empty());
            models.extend(page);
        }
        models.truncate(wanted);
        Ok(models)
    }
}

pub(crate) fn summary(info: ModelInfo) -> ModelSummary {
    ModelSummary {
        repo: info.id,
        downloads: info.downloads,
        likes: info.likes,
        last_modified: info.last_modified,
        pipeline_tag: info.pipeline_tag,
        library: info.library_name,
        tags: info.tags.unwrap_or_default(),
        // `false`, or the approval mode (`auto` or `manual`).
        gated: info
            .gated
            .is_some_and(|gated| gated.as_str().is_some() || gated.as_bool() == Some(true)),
        private: info.private.unwrap_or_default(),
        weights_bytes: info.safetensors.as_ref().and_then(weights_bytes),
    }
}

/// The size of the weights, from their number by data type; `None` for an unknown type.
fn weights_bytes(weights: &SafeTensorsInfo) -> Option<u64> {
    let mut bits: u64 = 0;
    for (dtype, count) in &weights.parameters {
        let width = match dtype.as_str() {
            "F64" | "I64" | "U64" | "C64" => 64,
            "F32" | "I32" | "U32" => 32,
            "F16" | "BF16" | "I16" | "U16" => 16,
            "BOOL" | "I8" | "U8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 8,
            "F4" => 4,
            _ => return None,
        };
        bits = bits.checked_add(count.checked_mul(width)?)?;
    }
    Some(bits.div_ceil(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_bytes_follow_the_data_types() {
        let bytes = |parameters: serde_json::Value| {
            let info = serde_json::json!({"parameters": parameters, "total": 0});
            weights_bytes(&serde_json::from_value(info).unwrap())
        };
        assert_eq!(
            bytes(serde_json::json!({"U32": 100, "BF16": 10})),
            Some(420)
        );
        assert_eq!(bytes(serde_json::json!({"F4": 3})), Some(2));
        assert_eq!(bytes(serde_json::json!({})), Some(0));
        assert_eq!(bytes(serde_json::json!({"Q1": 3})), None);
        assert_eq!(bytes(serde_json::json!({"F32": u64::MAX})), None);
    }
}
