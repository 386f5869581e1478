//! Reading cases: `.io` files with comments, requests and responses, one a line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ConformanceError;

#[cfg(test)]
mod tests;

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// `METHOD/NAME`.
    pub name: String,
    /// The recorded responses are examples: an answer need only have the form of the method's result.
    pub only_schema: bool,
    /// What is asked and answered, in order.
    pub exchanges: Vec<Exchange>,
}

/// A request and the response to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The body, as it is sent.
    pub request: String,
    /// What should come back.
    pub response: Value,
}

/// Why a file is no case.
#[derive(Debug, thiserror::Error)]
#[error("{name}, line {line}: {what}")]
pub struct CaseError {
    /// `METHOD/NAME`.
    pub name: String,
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// All cases below `folder`, in alphabetical order.
///
/// # Errors
///
/// [`ConformanceError::Folder`] and [`ConformanceError::Case`].
pub fn read_all(folder: &Path) -> Result<Vec<Case>, ConformanceError> {
    let mut files = Vec::new();
    for method in list(folder)? {
        if method.is_dir() {
            files.extend(
                list(&method)?
                    .into_iter()
                    .filter(|file| file.extension().is_some_and(|extension| extension == "io")),
            );
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(folder).unwrap_or(file).with_extension("");
            let text = fs::read_to_string(file).map_err(|source| ConformanceError::Folder {
                path: file.clone(),
                source,
            })?;
            Ok(Case::parse(&name.to_string_lossy(), &text)?)
        })
        .collect()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, ConformanceError> {
    let failed = |source| ConformanceError::Folder {
        path: folder.to_path_buf(),
        source,
    };
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}

impl Case {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// [`CaseError`].
    pub fn parse(name: &str, text: &str) -> Result<Self, CaseError> {
        let mut case = Self {
            name: name.to_owned(),
            only_schema: false,
            exchanges: Vec::new(),
        };
        let mut open: Option<String> = None;
        let wrong = |line, what| CaseError {
            name: name.to_owned(),
            line,
            what,
        };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix("//") {
                case.only_schema |= comment.trim_start().starts_with("speconly");
            } else if let Some(request) = line.strip_prefix(">>") {
                if open.replace(request.trim().to_owned()).is_some() {
                    return Err(wrong(
                        number,
                        "a request before the response to the last one",
                    ));
                }
            } else if let Some(response) = line.strip_prefix("<<") {
                let request = open
                    .take()
                    .ok_or_else(|| wrong(number, "a response to nothing"))?;
                let response = serde_json::from_str(response)
                    .map_err(|_| wrong(number, "a response that is not JSON"))?;
                case.exchanges.push(Exchange { request, response });
            } else if !line.is_empty() {
                return Err(wrong(number, "neither comment nor request nor response"));
            }
        }
        if open.is_some() || case.exchanges.is_empty() {
            return Err(wrong(text.lines().count(), "no response"));
        }
        Ok(case)
    }

    /// The method: the folder's name.
    #[must_use]
    pub fn method(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}
