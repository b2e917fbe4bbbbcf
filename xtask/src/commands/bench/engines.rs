//! The engines that are compared: how each is started for a row of the table, and what its output says.

pub mod llama_cpp;
pub mod mlxm;
pub mod openvino;

use super::measured::Measured;
use super::models::Pair;
use super::rows::Row;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use std::process::Command;

/// What is on record about an engine.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    pub name: String,
    pub version: String,
    /// The commit of its source, where known.
    pub commit: Option<String>,
    /// How it was built.
    pub build: String,
    /// The form its model files have.
    pub weights: String,
    /// What one has to know about how it is measured.
    pub note: String,
}

/// One figure out of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// In the unit of the row.
    pub value: f64,
    /// The arithmetic the engine says it used.
    pub precision: Option<String>,
}

impl Reading {
    fn plain(value: f64) -> Self {
        Self {
            value,
            precision: None,
        }
    }
}

/// An engine under test.
pub trait Engine {
    fn facts(&self) -> &Facts;

    /// Its file or directory of a model.
    fn model(&self, pair: &Pair) -> PathBuf;

    /// Makes sure that its form of the model is there.
    fn prepare(&self, _pair: &Pair) -> Result<()> {
        Ok(())
    }

    /// The program that measures a row once, with a warm-up of its own before.
    fn command(&self, pair: &Pair, row: Row) -> Command;

    /// What the program measured.
    fn read(&self, row: Row, measured: &Measured) -> Result<Reading>;
}
