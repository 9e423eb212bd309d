//! How answers look.

use super::answer::{ErrorCodes, SingleShape, Stranger};
use super::lie::Lie;
use super::simulator::CloudMcSimulator;

impl CloudMcSimulator {
    /// In which form errors carry their codes.
    pub fn show_codes_as(&self, codes: ErrorCodes) {
        self.cloudmc.state().settings.style.codes = codes;
    }

    /// Whether errors come with the status 200: "if the response contains the errors field, the request was not
    /// successful" (getting started).
    pub fn put_errors_beside_200(&self, beside: bool) {
        self.cloudmc.state().settings.style.beside_200 = beside;
    }

    /// In which form single objects are shown.
    pub fn show_single_as(&self, shape: SingleShape) {
        self.cloudmc.state().settings.style.single = shape;
    }

    /// How those are refused who are no members of an environment, or no longer.
    pub fn refuse_strangers_with(&self, stranger: Stranger) {
        self.cloudmc.state().settings.style.stranger = stranger;
    }

    /// Whether fields say if they belong to their environment alone. Older versions do not.
    pub fn tell_environment_specific(&self, tell: bool) {
        self.cloudmc.state().settings.older = !tell;
    }

    /// Tells this lie from now on.
    pub fn lie(&self, lie: Lie) {
        self.cloudmc.state().settings.lies.push(lie);
    }

    /// Tells the truth again.
    pub fn stop_lying(&self) {
        self.cloudmc.state().settings.lies.clear();
    }
}
