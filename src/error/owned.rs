//! `?` gives errors by value; what they mean is decided by reference.

use super::Error;

macro_rules! by_value {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::from(&error)
            }
        })*
    };
}

by_value!(
    crate::archive::Damage,
    crate::archive::OpenError,
    crate::cluster::ClusterError,
    crate::codec::frame::CodecError,
    crate::format::Fork,
    crate::format::FormatError,
    crate::fs::FsError,
    crate::gather::GatherError,
    crate::helm::HelmError,
    crate::image_set::Collision,
    crate::image_set::DestinationError,
    crate::image_set::ImageSetError,
    crate::image_set::SizeError,
    crate::image_set::SourceError,
    crate::openshift::graph::GraphError,
    crate::openshift::graph::SelectError,
    crate::openshift::release::ReleaseError,
    crate::keystore::KeystoreError,
    crate::ledger::LedgerError,
    crate::openshift::signature::KeyError,
    crate::openshift::signature::StoreError,
    crate::openshift::build::BuildError,
    crate::openshift::catalog::CatalogError,
    crate::openshift::files::FilesError,
    crate::openshift::graph_image::GraphImageError,
    crate::origin::FetchError,
    crate::inventory::InventoryError,
    crate::lookaside::ConfigError,
    crate::mirror::MirrorError,
    crate::pack::Error,
    crate::policy::PolicyError,
    crate::policy::Refused,
    crate::openshift::fbc::FbcError,
    crate::origin::OriginError,
    crate::registry::certs::TlsError,
    crate::registry::credentials::CredentialError,
    crate::registry::hosts::HostsError,
    crate::registry::mirrors::ConfError,
    crate::registry::mirrors::NoPlace,
    crate::serve::Error,
    crate::sign::SignError,
    crate::sign::TrustFileError,
    crate::web::WebError,
    crate::sign::VerifyError<crate::format::FormatError>,
);
