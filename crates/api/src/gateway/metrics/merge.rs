//! One text of metrics from several, with the OpenMetrics rule that all samples of a metric are together.

use std::collections::BTreeMap;

/// Metrics by name, each with its description and samples.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<String, Family>);

#[derive(Debug, Default)]
struct Family {
    /// The lines `# HELP`, `# TYPE` and `# UNIT`, of the first text that has the metric.
    description: Vec<String>,
    samples: Vec<String>,
}

impl Families {
    /// Adds a text in the OpenMetrics format. `labels`, such as `a="1",b="2"`, are added to each sample.
    pub fn add(&mut self, text: &str, labels: &str) {
        let mut name = String::new();
        let mut is_described = false;
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                // The last line, `# EOF`, has no metric.
                let Some(described) = comment.split(' ').nth(1) else {
                    continue;
                };
                if described != name {
                    described.clone_into(&mut name);
                    is_described = self.0.contains_key(&name);
                }
                let family = self.0.entry(name.clone()).or_default();
                if !is_described {
                    family.description.push(line.to_owned());
                }
            } else if !line.is_empty() {
                let family = self.0.entry(name.clone()).or_default();
                family.samples.push(with_labels(line, labels));
            }
        }
    }

    /// The text of all metrics.
    pub fn encode(&self) -> String {
        let lines = self
            .0
            .values()
            .flat_map(|family| family.description.iter().chain(&family.samples));
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("# EOF\n");
        text
    }
}

/// Labels as [`Families::add`] takes them.
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let labels: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    labels.join(",")
}

/// Adds labels to a sample, such as `name 1` or `name{a="1"} 1`.
fn with_labels(sample: &str, labels: &str) -> String {
    if labels.is_empty() {
        return sample.to_owned();
    }
    match sample.split_once(['{', ' ']) {
        Some((name, rest)) if sample.as_bytes().get(name.len()) == Some(&b'{') => {
            let separator = if rest.starts_with('}') { "" } else { "," };
            format!("{name}{{{labels}{separator}{rest}")
        }
        Some((name, rest)) => format!("{name}{{{labels}}} {rest}"),
        None => sample.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: &str = "# HELP mlxm_steps Engine steps.\n# TYPE mlxm_steps counter\nmlxm_steps_total 7\n\
        # HELP mlxm_blocks Blocks.\n# TYPE mlxm_blocks gauge\nmlxm_blocks{state=\"used\"} 1\n\
        mlxm_blocks{state=\"free\"} 2\n# EOF\n";

    #[test]
    fn samples_of_all_workers_are_grouped_by_metric() {
        let mut families = Families::default();
        families.add(
            "# TYPE mlxm_gateway_up gauge\nmlxm_gateway_up 1\n# EOF\n",
            "",
        );
        families.add(WORKER, &labels(&[("server", "a"), ("model", "x")]));
        families.add(WORKER, &labels(&[("server", "b"), ("model", "y")]));
        let expected = "# HELP mlxm_blocks Blocks.\n# TYPE mlxm_blocks gauge\n\
            mlxm_blocks{server=\"a\",model=\"x\",state=\"used\"} 1\n\
            mlxm_blocks{server=\"a\",model=\"x\",state=\"free\"} 2\n\
            mlxm_blocks{server=\"b\",model=\"y\",state=\"used\"} 1\n\
            mlxm_blocks{server=\"b\",model=\"y\",state=\"free\"} 2\n\
            # TYPE mlxm_gateway_up gauge\nmlxm_gateway_up 1\n\
            # HELP mlxm_steps Engine steps.\n# TYPE mlxm_steps counter\n\
            mlxm_steps_total{server=\"a\",model=\"x\"} 7\n\
            mlxm_steps_total{server=\"b\",model=\"y\"} 7\n# EOF\n";
        assert_eq!(families.encode(), expected);
    }

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(labels(&[("model", "a\"b\\c\nd")]), r#"model="a\"b\\c\nd""#);
        assert_eq!(with_labels("x{} 1", "a=\"1\""), "x{a=\"1\"} 1");
        let braces = with_labels("x{b=\"{ }\"} 1", "a=\"1\"");
        assert_eq!(braces, "x{a=\"1\",b=\"{ }\"} 1");
    }
}
