//! Markdown files, taken apart as far as the tests need it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the repository with this ending, apart from what cargo and git keep there.
pub fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.is_file() && name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A Markdown file in its parts.
pub struct Document {
    /// Where it lies.
    pub path: PathBuf,
    /// Language and text of its code blocks.
    pub blocks: Vec<(String, String)>,
    /// What stands in backticks.
    pub code: Vec<String>,
    /// The rest.
    prose: String,
    /// Its headings, as they are linked to.
    pub headings: BTreeSet<String>,
}

impl Document {
    /// Takes a file apart.
    pub fn read(path: &Path) -> Document {
        let text = fs::read_to_string(path).unwrap();
        let mut document = Document {
            path: path.to_owned(),
            blocks: Vec::new(),
            code: Vec::new(),
            prose: String::new(),
            headings: BTreeSet::new(),
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let block: Vec<_> = lines
                    .by_ref()
                    .take_while(|line| !line.trim_start().starts_with("```"))
                    .collect();
                document
                    .blocks
                    .push((language.to_owned(), block.join("\n")));
                continue;
            }
            if line.starts_with('#') {
                document
                    .headings
                    .insert(anchor(line.trim_start_matches('#').trim()));
            }
            for (number, part) in line.split('`').enumerate() {
                if number % 2 == 1 {
                    document.code.push(part.to_owned());
                } else {
                    document.prose.push_str(part);
                }
            }
            document.prose.push('\n');
        }
        document
    }

    /// All code, in backticks and in blocks.
    pub fn all_code(&self) -> impl Iterator<Item = &str> {
        self.code
            .iter()
            .map(String::as_str)
            .chain(self.blocks.iter().map(|(_, text)| text.as_str()))
    }

    /// Its path in the repository.
    pub fn name(&self) -> String {
        self.path
            .strip_prefix(root())
            .unwrap()
            .display()
            .to_string()
    }

    /// Where its links lead.
    pub fn links(&self) -> Vec<&str> {
        self.prose
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect()
    }
}

/// All Markdown files.
pub fn documents() -> Vec<Document> {
    let found: Vec<_> = files(".md")
        .iter()
        .map(|path| Document::read(path))
        .collect();
    assert!(
        found.len() > 15,
        "the documents have moved: {} found",
        found.len()
    );
    found
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = |char: char| char.is_alphanumeric() || "-_ ".contains(char);
    heading
        .to_lowercase()
        .chars()
        .filter(|char| kept(*char))
        .collect::<String>()
        .replace(' ', "-")
}

/// The words of a text that consist of some characters.
pub fn words(text: &str, part_of_word: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |char| !part_of_word(char))
        .filter(|word| !word.is_empty())
}

/// What names in code consist of.
pub fn in_identifier(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}
