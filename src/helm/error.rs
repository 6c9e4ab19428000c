//! What can be wrong with a chart or a chart repository.

use super::path::PathError;
use crate::digest::Digest;
use crate::text::shown;
use std::io;
use std::path::PathBuf;

/// Why a chart could not be had, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// An archive (or folder) that is no chart.
    #[error("chart {} is not as a chart should be: {fault}", shown(.chart))]
    Chart {
        /// Which: its file, its address, or its name and version.
        chart: String,
        /// Why.
        fault: ChartFault,
    },
    /// The index of a repository cannot be read.
    #[error("{url} is not the index of a chart repository: {why}")]
    Index {
        /// Its address, without login.
        url: String,
        /// What the parser said.
        why: String,
    },
    /// An address of a repository or of a chart that is none.
    #[error("{0:?} is not an http, https or oci address")]
    Url(String),
    /// The repository has no chart of that name.
    #[error("{repository} has no chart {:?}{}", shown(.name).to_string(), nearest(.near))]
    NoChart {
        /// Address of the repository, without login.
        repository: String,
        /// The name asked for.
        name: String,
        /// The most similar names.
        near: Vec<String>,
    },
    /// The chart has no such version.
    #[error("chart {} of {repository} has no version {:?}{}", shown(.name), shown(.wanted).to_string(), nearest(.near))]
    NoVersion {
        /// Address of the repository, without login.
        repository: String,
        /// The chart.
        name: String,
        /// As asked for; empty: the newest stable one.
        wanted: String,
        /// The nearest versions.
        near: Vec<String>,
    },
    /// An OCI registry does not tell which charts it has.
    #[error("{0} is a registry, which cannot list its charts")]
    NoListing(String),
    /// A download that is not what the index promised.
    #[error("{url} has {found}, its repository's index says {expected}")]
    Digest {
        /// Its address, without login.
        url: String,
        /// As the index says.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// The archive calls itself otherwise than its repository does.
    #[error("{asked} was asked for, the archive is {}", shown(.found))]
    Other {
        /// Name and version in the index.
        asked: String,
        /// Name and version in the archive.
        found: String,
    },
    /// An image in a registry that is no chart.
    #[error("{0} is not a chart: its manifest has no helm configuration, or not one chart layer")]
    NotAChart(String),
    /// A name or version that cannot be a repository or a tag.
    #[error("chart {} cannot be pushed: {:?} is no repository and tag", shown(.chart), shown(.name).to_string())]
    Name {
        /// Name and version.
        chart: String,
        /// What it would be called.
        name: String,
    },
    /// An `imagePaths` entry that is not understood.
    #[error("imagePaths: {0}")]
    Path(#[from] PathError),
    /// A values file that is not YAML.
    #[error("{} is not a values file: {why}", .path.display())]
    Values {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A chart in a registry broke off while it was read.
    #[error("{reference}: {error}")]
    Read {
        /// Which chart.
        reference: String,
        /// Why.
        error: io::Error,
    },
    /// A document could not be had.
    #[error(transparent)]
    Web(#[from] crate::web::WebError),
    /// A registry.
    #[error(transparent)]
    Origin(#[from] crate::origin::OriginError),
    /// What is made cannot be kept.
    #[error(transparent)]
    Workspace(#[from] crate::layout::Error),
    /// A file.
    #[error(transparent)]
    Fs(#[from] crate::fs::FsError),
    /// The person asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a chart itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChartFault {
    /// Not a gzip-compressed tar archive.
    #[error("it is not a .tgz archive: {0}")]
    Archive(String),
    /// A member would be written outside of the chart's folder.
    #[error("{:?} leads out of the chart", shown(.0).to_string())]
    Traversal(String),
    /// More than one folder at the top, or a file there.
    #[error("it holds {:?} beside its one folder", shown(.0).to_string())]
    TopFolder(String),
    /// A link, device or pipe.
    #[error("{:?} is neither a file nor a folder", shown(.0).to_string())]
    Irregular(String),
    /// It unfolds to more than any chart.
    #[error("it unfolds to more than {0} bytes")]
    TooLarge(u64),
    /// One of its files is too large.
    #[error("{} is larger than {} bytes", shown(.0), .1)]
    FileTooLarge(String, u64),
    /// More files than any chart has.
    #[error("it has more than {0} files")]
    TooManyFiles(usize),
    /// It unfolds to far more than text does.
    #[error("it unfolds to more than {0} times its size")]
    Ratio(u64),
    /// Charts in charts in charts.
    #[error("it has charts nested more than {0} deep")]
    TooDeep(usize),
    /// No `Chart.yaml` in its folder.
    #[error("it has no Chart.yaml")]
    NoChartYaml,
    /// A document in it is not what it should be.
    #[error("{}: {why}", shown(.file))]
    Document {
        /// The file.
        file: String,
        /// Why, harmless to print.
        why: String,
    },
    /// A name or version that helm would not take either.
    #[error("Chart.yaml: {0}")]
    Metadata(String),
}

fn nearest(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; there is {}", near.iter().map(|n| shown(n).to_string()).collect::<Vec<_>>().join(", ")),
    }
}
