//! The engines that are compared: how each is started for a row of the table, and how its output is read.

pub mod llama_cpp;
pub mod mlxm;
pub mod openvino;

use super::child::ChildOutput;
use super::models::ModelFiles;
use super::rows::Row;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use std::process::Command;

/// Version and build of an engine, as recorded in the results.
#[derive(Clone, Debug, Serialize)]
pub struct EngineInfo {
    pub name: String,
    pub version: String,
    /// The commit of its source, where known.
    pub commit: Option<String>,
    /// How it was built.
    pub build: String,
    /// The format of its model files.
    pub weights: String,
    /// How it is measured.
    pub note: String,
}

/// The measured value of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// In the unit of the row.
    pub value: f64,
    /// The activation dtype that the engine reports.
    pub activation_dtype: Option<String>,
}

impl Reading {
    fn new(value: f64) -> Self {
        Self {
            value,
            activation_dtype: None,
        }
    }
}

/// An engine under test.
pub trait Engine {
    fn info(&self) -> &EngineInfo;

    /// The file or directory that it loads.
    fn model(&self, files: &ModelFiles) -> PathBuf;

    /// Makes that file or directory unless the cache has it.
    fn prepare(&self, files: &ModelFiles) -> Result<()>;

    /// The program that warms up and then measures a row once.
    fn command(&self, files: &ModelFiles, row: Row) -> Command;

    /// Reads the result of that program.
    fn read(&self, row: Row, output: &ChildOutput) -> Result<Reading>;
}
