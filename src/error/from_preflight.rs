//! What a look at the target found, and the setting to change for the registry it was found at.

use super::from_registry::target;
use super::{Code, Error};
use crate::preflight::{Finding, Trial, Verdict};
use crate::registry::{Error as RegistryError, Software, Target};
use crate::text::shell_word;

/// Code and advice of a finding; `None` when all is well.
pub fn finding(software: Software, finding: &Finding) -> Option<Error> {
    let (told, error) = match &finding.verdict {
        Verdict::Fine(_) => return None,
        // A note is no failure: its code is that of a thing done.
        Verdict::Note(text) => (Error::new(Code::Done, text.clone()), None),
        Verdict::Failed(error) => (target(error), Some(error)),
    };
    Some(match advice(software, finding.trial, error) {
        Some(advice) => told.remedy(advice),
        None => told,
    })
}

/// Better than what the error alone suggests, where the trial and the registry are known.
fn advice(software: Software, trial: Trial, error: Option<&RegistryError>) -> Option<String> {
    let setting = match trial {
        Trial::Reach | Trial::SmallBlob | Trial::Referrers => None,
        Trial::Clock => Some("set the clocks of both hosts (`chronyc tracking`): certificates and tokens are judged by them"),
        Trial::Project => match software {
            Software::Quay => Some("give an OAuth access token that may create organizations, as the password of the user $oauthtoken"),
            Software::Harbor => Some("log in as an account that may create projects, or have an administrator create it"),
            _ => Some("create the project or repository by hand where the registry needs one"),
        },
        Trial::Push => return push(software, error?),
        Trial::Location => Some(location(software)),
        Trial::LargeBlob => Some(match software {
            Software::Quay => "proxy before Quay: client_max_body_size 0; in Quay's config.yaml: MAXIMUM_LAYER_SIZE",
            _ => "proxy before the registry: client_max_body_size 0 (nginx), proxy-body-size \"0\" (ingress annotation)",
        }),
        Trial::OciImage => match software {
            Software::Nexus => Some("update Nexus to 3.71 or later, which takes OCI images"),
            Software::Quay => Some("set FEATURE_GENERAL_OCI_SUPPORT: true in Quay's config.yaml"),
            _ => None,
        },
        Trial::DockerImage => Some(match software {
            Software::Zot | Software::Other => {
                "zot: set \"http\": {\"compat\": [\"docker2s2\"]} in its configuration; OpenShift's images are Docker images"
            }
            _ => "let the registry take Docker images (v2, schema 2): OpenShift's images are of that kind",
        }),
        Trial::Index => match software {
            Software::Nexus => Some("update Nexus to 3.71 or later, which takes OCI indexes"),
            _ => None,
        },
        Trial::SparseIndex => Some(match software {
            Software::Quay => "pack images with all platforms, or set FEATURE_SPARSE_INDEX: true in Quay's config.yaml",
            Software::Other => {
                "pack images with all platforms, or (distribution 3) set validation.manifests.indexes.platforms: none, (sealift serve) --sparse"
            }
            _ => "pack images with all platforms",
        }),
        Trial::Tag => Some("look for a cache between here and the registry, and run this again"),
        Trial::Delete => Some(match software {
            Software::Other => "distribution: storage.delete.enabled: true; or remove by hand what is listed",
            _ => "remove by hand what is listed, or let the account delete",
        }),
    };
    setting.map(str::to_owned)
}

fn push(software: Software, error: &RegistryError) -> Option<String> {
    let told = match (software, error) {
        (_, RegistryError::ForeignLocation { .. }) => location(software),
        (Software::Quay, RegistryError::LoginRefused { target, credentials_sent: true, .. } | RegistryError::Denied { target, .. }) => {
            let makes = making(target);
            return Some(format!(
                "create the organization ({makes}) or set CREATE_NAMESPACE_ON_PUSH: true; the account needs the role Creator there"
            ));
        }
        (
            Software::Harbor,
            RegistryError::LoginRefused { target, credentials_sent: true, .. }
            | RegistryError::NotFound { target, .. }
            | RegistryError::Denied { target, .. },
        ) => {
            let makes = making(target);
            return Some(format!("create the project ({makes}); the account needs the role Developer or a higher one there"));
        }
        (Software::Artifactory, RegistryError::NotFound { .. }) => {
            "create a local Docker repository whose key is the first component of the name"
        }
        (Software::Nexus, RegistryError::NotFound { .. }) => {
            "create a hosted Docker repository and push to its own port, or put its name in front of the prefix"
        }
        _ => return None,
    };
    Some(told.to_owned())
}

/// The command that makes the project of a repository. It is told where another command found that there is none.
fn making(target: &Target) -> String {
    let project = target.repository.split('/').next().unwrap_or_default();
    format!("`sealift preflight --to {} --create-projects`", shell_word(&format!("{}/{project}", target.host)))
}

fn location(software: Software) -> &'static str {
    match software {
        Software::Quay => "set SERVER_HOSTNAME in Quay's config.yaml to the name and port clients use, and X-Forwarded-Proto in the proxy",
        Software::Harbor => "set external_url in harbor.yml to the address clients use, and X-Forwarded-Proto in the proxy before it",
        _ => {
            "proxy: proxy_set_header X-Forwarded-Proto $scheme and Host $http_host; or in the registry (distribution) http.relativeurls: true"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Answer;
    use std::sync::Arc;

    fn refused(status: u16) -> RegistryError {
        let target = Arc::new(Target { host: "r.lan".into(), repository: "p/x".into(), reference: String::new() });
        let answer =
            Box::new(Answer { status, code: None, message: String::new(), from: None, digest: None, retry_after: None, pulls: None });
        match status {
            401 => RegistryError::LoginRefused { target, credentials_sent: true, answer },
            404 => RegistryError::NotFound { target, what: crate::registry::Missing::Repository, answer },
            _ => RegistryError::Refused { target, answer },
        }
    }

    #[test]
    fn the_setting_is_that_of_the_registry() {
        for (software, trial, verdict, code, advice) in [
            (Software::Quay, Trial::Push, Verdict::Failed(refused(401)), Code::LoginRefused, "CREATE_NAMESPACE_ON_PUSH"),
            (
                Software::Harbor,
                Trial::Push,
                Verdict::Failed(refused(401)),
                Code::LoginRefused,
                "`sealift preflight --to r.lan/p --create-projects`",
            ),
            (Software::Nexus, Trial::Push, Verdict::Failed(refused(404)), Code::PushRefused, "hosted Docker repository"),
            (Software::Other, Trial::Push, Verdict::Failed(refused(401)), Code::LoginRefused, "log in again"),
            (Software::Zot, Trial::DockerImage, Verdict::Failed(refused(415)), Code::PushRefused, "docker2s2"),
            (Software::Quay, Trial::Location, Verdict::Note("x".into()), Code::Done, "SERVER_HOSTNAME"),
            (Software::Other, Trial::Location, Verdict::Note("x".into()), Code::Done, "X-Forwarded-Proto"),
            (Software::Other, Trial::LargeBlob, Verdict::Note("x".into()), Code::Done, "client_max_body_size"),
            (Software::Quay, Trial::SparseIndex, Verdict::Note("x".into()), Code::Done, "FEATURE_SPARSE_INDEX"),
            (Software::Other, Trial::Delete, Verdict::Note("x".into()), Code::Done, "storage.delete.enabled"),
        ] {
            let error = finding(software, &Finding { trial, verdict }).unwrap();
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(advice), "{error}");
        }
        assert_eq!(finding(Software::Other, &Finding { trial: Trial::Reach, verdict: Verdict::Fine("x".into()) }), None);
    }
}
