//! Time inside and outside of forward passes, from mlxm's own counters.

/// The counters of `/metrics` at one moment, in seconds since the start of the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoopTime {
    step: f64,
    forward: f64,
}

impl LoopTime {
    /// Parses the text of `/metrics`; `None` if the server does not have these counters.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self {
            step: value(text, "mlxm_step_seconds_total")?,
            forward: value(text, "mlxm_forward_seconds_total")?,
        })
    }

    /// The share of the steps since `before` that was not spent in forward passes.
    pub fn outside_forward_since(self, before: Self) -> Option<f64> {
        let step = self.step - before.step;
        let forward = self.forward - before.forward;
        (step > 0.0).then(|| (1.0 - forward / step).max(0.0))
    }
}

/// The value of a metric without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix(' ')?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_outside_forward_is_computed_from_differences() {
        let text = |step: f64, forward: f64| {
            format!(
                "# HELP mlxm_step_seconds Time of whole steps.\n# TYPE mlxm_step_seconds counter\n\
                 mlxm_step_seconds_total {step}\nmlxm_forward_seconds_total {forward}\n# EOF\n"
            )
        };
        let before = LoopTime::parse(&text(10.0, 5.0)).unwrap();
        let after = LoopTime::parse(&text(14.0, 8.9)).unwrap();
        let share = after.outside_forward_since(before).unwrap();
        assert!((share - 0.025).abs() < 1e-9, "{share}");
        assert_eq!(before.outside_forward_since(before), None);
        assert_eq!(LoopTime::parse("mlxm_step_seconds_total 1\n"), None);
    }
}
