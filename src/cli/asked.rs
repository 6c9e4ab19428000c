//! What commands that plan are asked for: option groups they share, and the whole of it as a value.

use super::options::{BothSides, Identity, Inside, OpenShift, Selection, Shape, Source, Workspace};
use super::values;
use crate::layout::Layout;

/// Everything about a plan that is said on the command line.
pub struct Asked {
    /// The words.
    pub wishes: Vec<values::Wish>,
    /// Name and purpose of the set.
    pub identity: Identity,
    /// Platforms.
    pub selection: Selection,
    /// Volumes.
    pub shape: Shape,
    /// Registries.
    pub source: Source,
    /// Releases, catalogs, charts.
    pub openshift: OpenShift,
    /// Where what is made is kept.
    pub workspace: Layout,
}

/// How a set is made: what `plan` and `pack` share.
#[derive(clap::Args, Debug)]
pub struct Making {
    /// What the set is called and meant for.
    #[command(flatten)]
    pub identity: Identity,
    /// What is taken of the images.
    #[command(flatten)]
    pub selection: Selection,
    /// How images become volumes.
    #[command(flatten)]
    pub shape: Shape,
    /// How sources are spoken to.
    #[command(flatten)]
    pub source: Source,
    /// Releases, catalogs, charts.
    #[command(flatten)]
    pub openshift: OpenShift,
    /// Names inside.
    #[command(flatten)]
    pub inside: Inside,
    /// Where work in progress lies.
    #[command(flatten)]
    pub workspace: Workspace,
}

impl Making {
    /// With the words, and the workspace opened.
    pub fn asked(&self, wishes: Vec<values::Wish>, workspace: Layout) -> Asked {
        Asked {
            wishes,
            identity: self.identity.clone(),
            selection: self.selection.clone(),
            shape: self.shape.clone(),
            source: self.source.clone(),
            openshift: self.openshift.clone(),
            workspace,
        }
    }
}

/// How sources and a target are compared without a set between them: what `mirror` and `check` share.
#[derive(clap::Args, Debug)]
pub struct Between {
    /// How both sides are spoken to.
    #[command(flatten)]
    pub sides: BothSides,
    /// Releases, catalogs, charts.
    #[command(flatten)]
    pub openshift: OpenShift,
    /// Where work in progress lies.
    #[command(flatten)]
    pub workspace: Workspace,
}

impl Between {
    /// With the words, and the workspace opened. The set of that name is only planned, never written.
    pub fn asked(&self, wishes: Vec<values::Wish>, name: &str, selection: &Selection, workspace: Layout) -> Asked {
        Asked {
            wishes,
            identity: Identity::unwritten(name),
            selection: selection.clone(),
            shape: Shape::unwritten(),
            source: self.sides.source(),
            openshift: self.openshift.clone(),
            workspace,
        }
    }
}
