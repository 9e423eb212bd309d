//! Certificates as the command `openssl` makes them, for those that no library here can make.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use super::identity::Identity;

/// The command `openssl` with a directory of its own.
pub struct OpenSsl {
    directory: TempDir,
}

impl Default for OpenSsl {
    fn default() -> Self {
        OpenSsl::new()
    }
}

impl OpenSsl {
    /// Panics where the command is missing.
    #[must_use]
    pub fn new() -> Self {
        let openssl = OpenSsl {
            directory: TempDir::new().unwrap(),
        };
        let found = openssl.run(&["version"]);
        assert!(found.is_ok(), "the command openssl is needed: {found:?}");
        openssl
    }

    /// What `openssl req -x509` makes by default, with these further arguments: signed by itself, and with
    /// `CA:TRUE`.
    ///
    /// # Panics
    /// When `openssl` refuses the arguments.
    #[must_use]
    pub fn self_signed(&self, arguments: &[&str]) -> Identity {
        let mut all = vec!["req", "-x509", "-newkey", "rsa:2048", "-nodes"];
        all.extend(["-keyout", "key.pem", "-out", "certificate.pem"]);
        all.extend(["-subj", "/CN=localhost", "-days", "3650"]);
        all.extend(arguments);
        self.run(&all).unwrap();
        self.identity()
    }

    /// A certificate of X.509's version 1 for the common name `localhost`: version 1 has no extensions.
    ///
    /// # Panics
    /// When `openssl` makes another version.
    #[must_use]
    pub fn version_1(&self) -> Identity {
        // OpenSSL 3.2 and later have an option for it, and earlier ones make it wherever no extension is asked for.
        let mut by_option = vec!["req", "-x509", "-x509v1", "-newkey", "rsa:2048", "-nodes"];
        by_option.extend(["-keyout", "key.pem", "-out", "certificate.pem"]);
        by_option.extend(["-subj", "/CN=localhost", "-days", "3650"]);
        if self.run(&by_option).is_err() {
            let mut request = vec!["req", "-new", "-newkey", "rsa:2048", "-nodes"];
            request.extend(["-keyout", "key.pem", "-out", "request.pem"]);
            request.extend(["-subj", "/CN=localhost"]);
            self.run(&request).unwrap();
            let mut sign = vec!["x509", "-req", "-in", "request.pem"];
            sign.extend(["-signkey", "key.pem", "-days", "3650"]);
            sign.extend(["-out", "certificate.pem"]);
            self.run(&sign).unwrap();
        }
        let text = self
            .run(&["x509", "-in", "certificate.pem", "-noout", "-text"])
            .unwrap();
        assert!(text.contains("Version: 1 "), "{text}");
        self.identity()
    }

    fn identity(&self) -> Identity {
        let read = |name| std::fs::read_to_string(self.path().join(name)).unwrap();
        Identity::from_pem(&read("certificate.pem"), &read("key.pem"))
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.path())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}
