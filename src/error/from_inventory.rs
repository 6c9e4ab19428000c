//! Looking up, checking and deleting what a target holds.

use super::{Code, Error};
use crate::inventory::{InventoryError, Unresolved};

impl From<&InventoryError> for Error {
    fn from(error: &InventoryError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            InventoryError::Published { name: _, why: _ } => told(Code::BadDocument).remedy(
                "if nobody needs what lies there, have it removed from the registry (a host that unpacked or mirrored there writes its receipt again with the same command), or give the receipts of all hosts with --receipts FILE",
            ),
            InventoryError::Format(inner) => inner.into(),
            InventoryError::Target { subject, error: inner } => {
                let inner = Error::from(inner);
                match inner.what.contains(subject.as_str()) {
                    true => inner,
                    false => Error { what: format!("{subject}: {}", inner.what), ..inner },
                }
            }
            InventoryError::Place(inner) => inner.into(),
            InventoryError::DeletionOff { subject: _, error: _ } => told(Code::PushRefused).remedy(
                "let the registry delete (distribution: storage.delete.enabled: true, or REGISTRY_STORAGE_DELETE_ENABLED=true), then run the same command again",
            ),
            InventoryError::Asked(_) => told(Code::BadReference),
            InventoryError::List(_) => told(Code::BadDocument)
                .remedy("have the list made anew: `sealift delete --generate -c DISC.yaml --to TARGET -o LIST.yaml`"),
            InventoryError::Elsewhere { item: _, target: _ } => {
                told(Code::Usage).remedy("give the target the list was made for with --to, as it is written in the list")
            }
        }
    }
}

impl From<&Unresolved> for Error {
    fn from(unresolved: &Unresolved) -> Error {
        let told = |code| Error::new(code, unresolved.to_string());
        match unresolved {
            Unresolved::NotFound(_) => told(Code::ContentNotFound),
            Unresolved::PackageChannel { package: _, channel: _ } | Unresolved::ChannelHead(_) | Unresolved::Charts(_) => {
                told(Code::BadImageset)
            }
        }
    }
}
