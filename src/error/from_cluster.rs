//! Cluster resources.

use super::{Code, Error};
use crate::cluster::ClusterError;

impl From<&ClusterError> for Error {
    fn from(error: &ClusterError) -> Error {
        let told = Error::new(Code::Usage, error.to_string());
        match error {
            ClusterError::Layout { target: _ } => {
                told.remedy("name the registry the images were unpacked into; a layout must be pushed into one first")
            }
            ClusterError::Target { target: _ } => told.remedy("a target is host[:port][/prefix], as clusters reach it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_code_and_remedy() {
        for (error, remedy) in
            [(ClusterError::Layout { target: "oci:x".into() }, "registry"), (ClusterError::Target { target: "a b".into() }, "host[:port]")]
        {
            let error = Error::from(&error);
            assert_eq!(error.code, Code::Usage);
            assert!(error.remedy.contains(remedy), "{error}");
        }
    }
}
