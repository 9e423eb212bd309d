//! The examples of the documentation, with something real in place of their placeholders.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// One file of `docs/examples/`.
pub struct Example {
    file: &'static str,
    text: String,
}

impl Example {
    /// Reads one, by its path in the repository.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(file: &'static str) -> Result<Self> {
        let path = repository(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self { file, text })
    }

    /// The same with `value` in place of `placeholder`, wherever that stands.
    ///
    /// # Errors
    /// When it stands nowhere.
    pub fn with(self, placeholder: &str, value: &str) -> Result<Self> {
        let Self { file, text } = self;
        ensure!(
            text.contains(placeholder),
            "{file} does not mention {placeholder}"
        );
        Ok(Self {
            file,
            text: text.replace(placeholder, value),
        })
    }

    /// Its path in the repository.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The manifest.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What a story leaves to somebody who wants to look around: its objects are gone by then.
#[derive(Default)]
pub struct Encore {
    /// What is applied once more, in this order.
    pub examples: Vec<Example>,
    /// Commands that show something of it.
    pub looks: Vec<String>,
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}
