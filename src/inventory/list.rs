//! The delete list: what phase one writes and phase two carries out. The form is oc-mirror's, so that its files work as well; the
//! digest is ours, and optional.

use super::InventoryError;
use crate::digest::Digest;
use crate::format::Role;
use crate::limits;
use crate::yaml;
use serde::{Deserialize, Serialize};

const KIND: &str = "DeleteImageList";
const API: &str = "mirror.openshift.io/v2alpha1";

/// A `DeleteImageList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteList {
    /// `mirror.openshift.io/v2alpha1`.
    pub api_version: String,
    /// `DeleteImageList`.
    pub kind: String,
    /// The images.
    #[serde(default)]
    pub items: Vec<DeleteItem>,
}

/// One image to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteItem {
    /// What was asked for when it was carried.
    #[serde(default)]
    pub image_name: String,
    /// Where it is: `docker://HOST[:PORT]/REPOSITORY:TAG`, or with `@DIGEST`.
    pub image_reference: String,
    /// What it is for; for people.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What the tag is expected to name; without it, what the receipts or the registry say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl DeleteList {
    /// A list of these.
    pub fn new(items: Vec<DeleteItem>) -> DeleteList {
        DeleteList { api_version: API.into(), kind: KIND.into(), items }
    }

    /// Reads a list strictly.
    ///
    /// # Errors
    /// [`InventoryError::List`].
    pub fn parse(bytes: &[u8]) -> Result<DeleteList, InventoryError> {
        if bytes.len() as u64 > limits::CONFIG_BYTES {
            return Err(InventoryError::List("it is larger than any such list".into()));
        }
        yaml::admit(bytes).map_err(|e| InventoryError::List(e.to_string()))?;
        let list: DeleteList = serde_yaml::from_slice(bytes).map_err(|e| InventoryError::List(e.to_string()))?;
        match list.kind == KIND && list.api_version == API {
            true => Ok(list),
            false => Err(InventoryError::List(format!("kind and apiVersion must be {KIND} and {API}"))),
        }
    }

    /// The document.
    ///
    /// # Errors
    /// [`InventoryError::List`] when it has no YAML form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InventoryError> {
        serde_yaml::to_string(self).map(String::into_bytes).map_err(|e| InventoryError::List(e.to_string()))
    }
}

/// oc-mirror's word for what an image is for.
pub(super) fn kind_of(role: Role) -> &'static str {
    match role {
        Role::Release => "ocpRelease",
        Role::ReleaseContent | Role::KubeVirt => "ocpReleaseContent",
        Role::Graph => "cincinnatiGraph",
        Role::Catalog => "operatorCatalog",
        Role::Bundle => "operatorBundle",
        Role::Related => "operatorRelatedImage",
        Role::Helm | Role::Chart => "helmImage",
        Role::Image | Role::Referrer => "generic",
    }
}
