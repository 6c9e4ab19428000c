//! Charts and chart repositories.

use super::from_io::{Side, io};
use super::{Code, Error, layout};
use crate::helm::HelmError;

impl From<&HelmError> for Error {
    fn from(error: &HelmError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            HelmError::Chart { chart: _, fault: _ } => told(Code::ContentInvalid)
                .remedy("take another version of the chart or leave it out of the ImageSet, or pack the rest with --keep-going"),
            HelmError::Index { url: _, why: _ } => {
                told(Code::ContentInvalid).remedy("correct the repository's url in the ImageSet: below it must lie index.yaml")
            }
            HelmError::Url(_) => {
                told(Code::Usage).remedy("correct the repository's url in the ImageSet: https://HOST/PATH or oci://HOST/PATH")
            }
            HelmError::NoChart { repository: _, name: _, near } => told(Code::ContentNotFound).remedy(named(near, "name")),
            HelmError::NoVersion { repository: _, name: _, wanted: _, near } => told(Code::ContentNotFound).remedy(named(near, "version")),
            HelmError::NoListing(_) => told(Code::Usage).remedy("name the charts below helm.repositories[].charts in the ImageSet"),
            HelmError::Digest { url: _, expected: _, found: _ } => told(Side::Source.wrong()),
            HelmError::Other { asked: _, found: _ } => {
                told(Code::ContentInvalid).remedy("tell who publishes that repository; give the chart under helm.local")
            }
            HelmError::NotAChart(_) => told(Code::ContentInvalid).remedy("give an image that is no chart under additionalImages"),
            HelmError::Name { chart: _, name: _ } => {
                told(Code::CannotCarry).remedy("name the images of that chart under additionalImages, and carry the chart as a file")
            }
            HelmError::Path(_) => {
                told(Code::Usage).remedy("correct imagePaths in the ImageSet, for example {.spec.template.spec.containers[*].image}")
            }
            HelmError::Values { path, why: _ } => told(Code::BadDocument).remedy(format!("correct {}", path.display())),
            HelmError::Read { reference: _, error: inner } => Error { what: error.to_string(), ..io(inner, Side::Source) },
            HelmError::Web(inner) => inner.into(),
            HelmError::Origin(inner) => inner.into(),
            HelmError::Workspace(inner) => layout(inner, Side::Target),
            HelmError::Fs(inner) => inner.into(),
            HelmError::Interrupted => Error::interrupted(),
        }
    }
}

fn named(near: &[String], what: &str) -> String {
    match near.first() {
        Some(first) => format!("correct the chart's {what} in the ImageSet; the nearest is {:?}", crate::text::shown(first).to_string()),
        None => format!("correct the chart's {what} in the ImageSet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::helm::ChartFault;

    #[test]
    fn codes_and_the_nearest() {
        let near = vec!["podinfo".to_owned()];
        let error = Error::from(&HelmError::NoChart { repository: "https://r.test/".into(), name: "podinf".into(), near });
        assert_eq!(error.code, Code::ContentNotFound);
        assert!(error.what.contains("there is podinfo") && error.remedy.contains("\"podinfo\""), "{error}");
        let bad = Error::from(&HelmError::Chart { chart: "x".into(), fault: ChartFault::NoChartYaml });
        assert_eq!((bad.code, bad.code.exit()), (Code::ContentInvalid, 27));
        let digest = Digest::sha256(b"");
        let wrong = Error::from(&HelmError::Digest { url: "https://r.test/x.tgz".into(), expected: digest, found: digest });
        assert_eq!(wrong.code.exit(), 24);
    }
}
