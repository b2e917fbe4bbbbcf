//! Conversion of errors to the exceptions of `mlxm.errors`, which are defined in Python because they have two bases.

use std::fmt::Display;

use mlxm_chat::ChatError;
use mlxm_chat::template::TemplateError;
use mlxm_engine::text::TokenizerError;
use mlxm_engine::{GenerationError, LoadError, RequestError};
use mlxm_hub::{HubError, ResolveError};
use pyo3::prelude::*;

fn exception(class: &str, message: &dyn Display) -> PyErr {
    Python::attach(|py| {
        let raised = py
            .import("mlxm.errors")
            .and_then(|module| module.getattr(class)?.call1((message.to_string(),)));
        raised.map_or_else(|problem| problem, PyErr::from_value)
    })
}

/// A request that is rejected by the bindings.
pub fn rejected(message: impl Display) -> PyErr {
    exception("RequestError", &message)
}

/// An invalid option for loading a model.
pub fn invalid_option(message: impl Display) -> PyErr {
    exception("LoadError", &message)
}

/// An error with a Python exception.
pub trait IntoPyError {
    /// The exception.
    fn into_py_error(self) -> PyErr;
}

impl IntoPyError for LoadError {
    fn into_py_error(self) -> PyErr {
        let missing = matches!(self, Self::NotFound(_));
        exception(
            if missing {
                "ModelNotFoundError"
            } else {
                "LoadError"
            },
            &self,
        )
    }
}

impl IntoPyError for ResolveError {
    fn into_py_error(self) -> PyErr {
        let missing = matches!(
            self,
            Self::NoSuchPath { .. } | Self::NotFound { .. } | Self::NoSuchRevision { .. }
        );
        exception(
            if missing {
                "ModelNotFoundError"
            } else {
                "LoadError"
            },
            &self,
        )
    }
}

impl IntoPyError for HubError {
    fn into_py_error(self) -> PyErr {
        exception("LoadError", &self)
    }
}

impl IntoPyError for RequestError {
    fn into_py_error(self) -> PyErr {
        exception("RequestError", &self)
    }
}

impl IntoPyError for TokenizerError {
    fn into_py_error(self) -> PyErr {
        exception("RequestError", &self)
    }
}

impl IntoPyError for &TemplateError {
    fn into_py_error(self) -> PyErr {
        exception("TemplateError", &self)
    }
}

impl IntoPyError for TemplateError {
    fn into_py_error(self) -> PyErr {
        (&self).into_py_error()
    }
}

impl IntoPyError for ChatError {
    fn into_py_error(self) -> PyErr {
        let class = match self {
            Self::Template(_) => "TemplateError",
            _ => "RequestError",
        };
        exception(class, &self)
    }
}

impl IntoPyError for GenerationError {
    fn into_py_error(self) -> PyErr {
        exception("GenerationError", &self)
    }
}

/// Converts errors with `result.py()?`.
pub trait PyResultExt<T> {
    /// Converts the error to a Python exception.
    fn py(self) -> PyResult<T>;
}

impl<T, E: IntoPyError> PyResultExt<T> for Result<T, E> {
    fn py(self) -> PyResult<T> {
        self.map_err(IntoPyError::into_py_error)
    }
}
