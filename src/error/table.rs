//! Every code with its page. Names are stable: a code may be added, never renamed or given another number.

use super::Entry;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $exit:literal {
        means: $means:literal,
        why: [$($why:literal),* $(,)?],
        steps: [$($step:literal),* $(,)?],
        remedy: $remedy:literal $(,)?
    })*) => {
        /// Stable meaning of an outcome. Several share an exit number; the name tells them apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them, by exit number.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// Its page.
            pub fn entry(self) -> &'static Entry {
                match self {
                    $(Code::$variant => &Entry {
                        name: $name, exit: $exit, means: $means, why: &[$($why),*], steps: &[$($step),*], remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

codes! {
    /// Everything asked for was done.
    Done = "DONE", 0 {
        means: "Everything that was asked for has been done.",
        why: [],
        steps: [],
        remedy: "",
    }

    /// A failure no other code fits.
    Unclassified = "UNCLASSIFIED", 1 {
        means: "Something failed that no other code describes, mostly an unusual answer of the operating system.",
        why: ["A file is of another kind than expected, a path is too long, a system call is not supported by the file system."],
        steps: ["Read the `caused by` lines: they hold the answer of the system word for word.", "Run the command again with -v: the last line before the failure names the operation."],
        remedy: "read the causes above; with -v the last operation before the failure is shown",
    }

    /// The command line is wrong.
    Usage = "USAGE", 2 {
        means: "The command line cannot be understood, or its parts contradict each other. Nothing was read or written.",
        why: ["An option is misspelt, lacks its value, or needs another one beside it.", "A passphrase is needed and there is neither a terminal to ask on nor --passphrase-file nor SEALIFT_PASSPHRASE."],
        steps: ["Every command lists its arguments and options.", "$ sealift pack --help"],
        remedy: "see `sealift help`",
    }

    /// The ImageSet cannot be used.
    BadImageset = "BAD_IMAGESET", 2 {
        means: "The ImageSetConfiguration is not valid, or it asks for something this version does not do. Nothing was fetched.",
        why: ["A key is misspelt or stands at the wrong depth: unknown keys are refused rather than ignored, since an ignored key is an image that is missing inside.", "The file is of another kind or apiVersion than ImageSetConfiguration, mirror.openshift.io/v2alpha1."],
        steps: ["The error names the line or the key.", "Correct it and look at the plan before packing.", "$ sealift plan imageset.yaml"],
        remedy: "correct the file where the error points, then check with `sealift plan`",
    }

    /// An image reference is wrong.
    BadReference = "BAD_REFERENCE", 2 {
        means: "A text that should name an image does not.",
        why: ["Upper-case letters in the repository, a space, a missing tag after the colon, a digest of the wrong length.", "A file name was meant, but the file does not exist: what is neither a file nor ends in .yaml, .yml or .json is read as a reference."],
        steps: ["References look like quay.io/org/name:tag, quay.io/org/name@sha256:HEX or oci:FOLDER:TAG.", "$ sealift plan quay.io/org/name:1.2"],
        remedy: "write it as host/path:tag, host/path@sha256:HEX or oci:FOLDER:TAG",
    }

    /// A saved plan, receipt or similar document is not valid.
    BadDocument = "BAD_DOCUMENT", 2 {
        means: "A document given by the user (a saved plan, a receipt, a credentials file, a registries.conf, a layout oci:DIR) cannot be read as what it should be.",
        why: ["It was edited by hand, cut off in transfer, or made by a newer sealift.", "Another file was meant.", "\"is not an OCI image layout\": the folder has no file oci-layout; perhaps the one above or below it is meant."],
        steps: ["Of oci:DIR: the folder that holds oci-layout and index.json is meant.", "$ ls DIR/oci-layout DIR/index.json", "Make it anew where it came from.", "$ sealift plan imageset.yaml -o plan.json"],
        remedy: "check that this is the file you mean, or make it anew",
    }

    /// The trust files cannot be used.
    BadTrust = "BAD_TRUST", 2 {
        means: "The trust store of this host cannot be used as it is. It is refused as a whole: skipping a line that was not understood could trust more than its author meant.",
        why: ["A line of allowed_signers lacks namespaces=, carries an unknown option, names a certificate authority or a key type that is not supported.", "The file was edited while it was open elsewhere, or its owner or mode lets others write to it."],
        steps: ["The error names file and line.", "$ sealift trust list", "Remove the line and add the key again with the command, which writes the strict form.", "$ sealift trust add stream:NAME KEY.pub"],
        remedy: "correct the line the error names, or add the key again with `sealift trust add`",
    }

    /// A private key cannot be used.
    BadKey = "BAD_KEY", 2 {
        means: "The signing key cannot be used: it is not there, not readable, of an unsupported type, or the passphrase is wrong.",
        why: ["--key takes the name of a stored key, or a path when it contains a slash.", "RSA keys are not supported; Ed25519 and ECDSA P-256 keys in the OpenSSH format are.", "The passphrase is wrong, or the agent does not hold the key."],
        steps: ["List the stored keys.", "$ sealift key show", "Make one.", "$ sealift key generate site", "For a key in the agent, check that it is loaded.", "$ ssh-add -l"],
        remedy: "list the stored keys with `sealift key show`; --key takes a path when it contains a slash",
    }

    /// A file the user named is not there.
    FileMissing = "FILE_MISSING", 2 {
        means: "A file or folder that was named is not there.",
        why: ["A typing error, or another working directory than expected.", "The medium is not mounted, or mounted elsewhere."],
        steps: ["Look at what is mounted where.", "$ findmnt", "$ ls -l PATH"],
        remedy: "check the path, and that the medium is mounted there",
    }

    /// A file may not be read.
    NotReadable = "NOT_READABLE", 2 {
        means: "The operating system refuses to let this user read a file or folder that was named.",
        why: ["Private keys are readable by their owner only; the command may run as another user.", "The medium was mounted for another user."],
        steps: ["$ ls -l PATH", "$ id", "Run as the owner, or remount the medium for this user."],
        remedy: "run as a user who may read it, or change its owner or mode",
    }

    /// Some items could not be done.
    Partial = "PARTIAL", 3 {
        means: "Everything that could be done has been done; some items could not and are listed, each with a code of its own. What is done is complete and stays.",
        why: ["With --keep-going an image that cannot be fetched is left out and listed.", "An image could not be pushed while others could."],
        steps: ["Look at the code of each item in the list.", "$ sealift explain CODE", "Run the same command again after mending it: what is done is not done twice."],
        remedy: "mend the items listed above (`sealift explain CODE` for each), then run the same command again",
    }

    /// More media are needed.
    MediaAwaited = "MEDIA_AWAITED", 3 {
        means: "What the media given hold has been done; the rest of the set lies on media that were not given.",
        why: ["unpack takes media one after the other, in any order; each run does what it can."],
        steps: ["Insert the medium the message names and run the same command with its path.", "$ sealift unpack /media/disc --to REGISTRY/PREFIX"],
        remedy: "insert the next medium and run the same command again",
    }

    /// An older set moved no tag back.
    TagsKept = "TAGS_KEPT", 3 {
        means: "The set is older than what this target already has. Its content was brought in, but no tag was moved back to it; the tags are listed.",
        why: ["Sets were unpacked in another order than they were made.", "Somebody presents an old, validly signed set in order to bring back a known weakness."],
        steps: ["If the newer set is the right one, nothing needs to be done.", "If going back is intended, pack the old images again on the connected side, without --sequence: the new set has a higher one."],
        remedy: "nothing to do when the newer set is the right one; to go back on purpose, pack the old images as a new set",
    }

    /// A signature does not hold.
    SignatureInvalid = "SIGNATURE_INVALID", 10 {
        means: "A signature file beside the index does not belong to these index bytes, or is not in its one canonical form. Nothing of the set was parsed or used.",
        why: ["The index or the signature was damaged on its way.", "The index was changed after it was signed.", "The signature was made for something else (another namespace)."],
        steps: ["Try the second copy on the medium, or another medium of the same set: each carries the index twice.", "Check with a tool that is not ours.", "$ ssh-keygen -Y verify -f ALLOWED_SIGNERS -I stream:NAME -n sealift-index@1 -s NAME.index.json.sig < NAME.index.json", "If all copies fail alike, ask for the set again and tell the signer."],
        remedy: "try another medium of the same set; if all fail alike, treat the set as forged and ask its signer",
    }

    /// There is no signature.
    SignatureMissing = "SIGNATURE_MISSING", 10 {
        means: "There is an index but no signature. An unsigned set is not finished: the signature is written last.",
        why: ["pack was interrupted, or ran without --key.", "The copy to the medium was interrupted, or the .sig file was left out of it."],
        steps: ["On the connected side, sign the set, then copy it again.", "$ sealift sign OUT --key site", "Inside, ask for a medium that was copied to its end."],
        remedy: "sign it on the connected side: `sealift sign OUT --key NAME`, then copy the whole folder again",
    }

    /// Fewer signatures than this side demands.
    SignaturesTooFew = "SIGNATURES_TOO_FEW", 10 {
        means: "The set is signed, but by fewer distinct keys and owners than this side demands for the stream.",
        why: ["The second person has not signed yet.", "Two signatures are by keys of one owner: they count once."],
        steps: ["Let another person sign, on any host that can read the set.", "$ sealift sign OUT --key OTHER", "See what is demanded.", "$ sealift trust list"],
        remedy: "let another owner sign: `sealift sign OUT --key OTHER`; `sealift trust list` shows how many are demanded",
    }

    /// No trusted key made the signature.
    KeyUnknown = "KEY_UNKNOWN", 11 {
        means: "The signature is well-formed, but its key is not trusted here for the stream of the set. Nothing of the set was used.",
        why: ["The public key has not been brought in yet.", "The key is trusted for other streams only.", "Somebody else signed."],
        steps: ["Compare the fingerprint in the message with the one the signer tells you in person or by telephone, never with anything that lies on the medium.", "Outside, the signer reads it from the key.", "$ sealift key show site", "If they are equal, trust the key for this stream.", "$ sealift trust add stream:NAME site.pub"],
        remedy: "compare the fingerprint with the signer by another way than the medium, then `sealift trust add stream:NAME KEY.pub`",
    }

    /// The key was revoked here.
    KeyRevoked = "KEY_REVOKED", 11 {
        means: "The signature is by a key that was revoked on this side.",
        why: ["The key was lost or stolen, and sets are still signed with it.", "The set is older than the revocation."],
        steps: ["Ask for the set to be signed again with a key that is in force.", "$ sealift sign OUT --key NEW"],
        remedy: "have the set signed with a key that is in force",
    }

    /// This side trusts nobody.
    KeyringEmpty = "KEYRING_EMPTY", 11 {
        means: "This side trusts no key at all yet, so that no set can be accepted.",
        why: ["It is the first run on this host, or under another user or SEALIFT_HOME than before."],
        steps: ["Bring the public key in by a way you trust, and trust it for the stream.", "$ sealift trust add stream:default site.pub", "$ sealift trust list"],
        remedy: "trust the signer's public key first: `sealift trust add stream:default site.pub`",
    }

    /// A volume is not there.
    VolumeMissing = "VOLUME_MISSING", 12 {
        means: "A volume the index lists is in none of the paths given.",
        why: ["It lies on another medium of the set.", "The copy to this medium was not complete.", "The file was renamed or is still called .incomplete: a run has not finished."],
        steps: ["See which volumes there are and which medium each lies on.", "$ sealift inspect /media/disc", "Give all paths, or one medium after the other.", "$ sealift verify /media/disc1 /media/disc2", "Or check one medium of several alone.", "$ sealift verify --this-medium /media/disc1"],
        remedy: "give the medium that holds it, or check this one alone with `sealift verify --this-medium`",
    }

    /// There is no set at all.
    SetMissing = "SET_MISSING", 12 {
        means: "No set was found where one was expected: no NAME.index.json, not even a copy of it.",
        why: ["The path is the wrong one, or the medium is not mounted.", "--stream names a stream that is not there.", "pack was interrupted before the index was written.", "Only volumes were copied to this medium: the small files of the set, NAME.index* and NAME.contents*, go to every medium."],
        steps: ["$ ls PATH", "Give the folder that holds the index, or a volume in it.", "$ sealift verify PATH", "Where a medium has volumes only, give a second path that has the index.", "$ sealift verify /media/disc2 FOLDER-WITH-THE-INDEX"],
        remedy: "give the folder that holds NAME.index.json, or a volume in it; a medium with volumes only needs a second path that has it",
    }

    /// Several sets, none chosen.
    SetAmbiguous = "SET_AMBIGUOUS", 12 {
        means: "Several sets lie in the paths given and the command can take one only.",
        why: ["A folder may hold the sets of several streams, and several sets of one stream."],
        steps: ["Choose the stream, or give the path of the wanted index.", "$ sealift inspect PATH --stream NAME", "$ sealift inspect PATH/NAME.index.json"],
        remedy: "choose one with --stream, or give the path of its index",
    }

    /// Bytes changed.
    ContentDamaged = "CONTENT_DAMAGED", 13 {
        means: "Bytes of a volume, of the contents document or of an image are not those the signed index lists. The message names medium, volume and range, and the images that need it. Nothing damaged was pushed; images that were whole stay.",
        why: ["A disc is scratched, a stick is worn or was pulled out too early.", "The copy was cut off: the file is shorter than it should be.", "Somebody changed the volume."],
        steps: ["Copy the volume again from where it was packed, and compare it alone.", "$ sealift verify /media/disc/NAME-0003.tar.zst", "Clean the disc, or read it in another drive.", "Go on with what is whole: run unpack again, it does not repeat what is done.", "$ sealift unpack /media/disc --to REGISTRY/PREFIX"],
        remedy: "copy the named volume to the medium again and run `sealift verify` on it",
    }

    /// The drive cannot read.
    MediumUnreadable = "MEDIUM_UNREADABLE", 13 {
        means: "The drive reports that it cannot read or write: the medium is damaged or was taken out.",
        why: ["Scratches, worn flash, a loose cable, a medium pulled out during the run."],
        steps: ["See what the drive says.", "$ dmesg | tail", "Insert it again, or try another drive; then check it alone.", "$ sealift verify --this-medium /media/disc"],
        remedy: "insert the medium again or try another drive, then `sealift verify --this-medium PATH`",
    }

    /// A volume of another set.
    VolumeForeign = "VOLUME_FOREIGN", 13 {
        means: "A file that was given, or that has the name of a volume of this set, is no volume of this set. It is not damaged; it is the wrong one.",
        why: ["Two sets were copied into one folder under equal names.", "The file given is a volume of another set, or no volume at all.", "The index beside it is that of another set."],
        steps: ["Keep each set in a folder of its own.", "$ sealift inspect PATH"],
        remedy: "give a volume that lies beside the index of its set, or copy the volume of this set over it",
    }

    /// The format or a feature is not known.
    FormatUnknown = "FORMAT_UNKNOWN", 14 {
        means: "The set needs a feature, or has a format version, that this sealift does not know. It was refused before anything was used.",
        why: ["The set was packed by a newer sealift, with an option this one does not have.", "The set is of a format that is no longer read."],
        steps: ["Compare the versions of both sides.", "$ sealift --version", "Bring the newer binary in, or pack again without the feature the message names."],
        remedy: "use the sealift version the set was packed with, or pack again without the feature named above",
    }

    /// The base is not here.
    BaseMissing = "BASE_MISSING", 15 {
        means: "The set is an increment, and content it builds upon is not in the target registry.",
        why: ["An earlier set was never unpacked here, or into another registry or prefix.", "The registry has removed content since."],
        steps: ["Unpack the earlier set first; the message names it.", "$ sealift unpack EARLIER --to REGISTRY/PREFIX", "Or have the content packed again, whole."],
        remedy: "unpack the set it builds upon first, or ask for a full set",
    }

    /// Two sets claim one place.
    Fork = "FORK", 16 {
        means: "Two different sets of one stream carry the same sequence number. One of them is not what it says; both are refused until a person has decided.",
        why: ["Two hosts pack the same stream, or --sequence was given twice.", "A signing key is in other hands."],
        steps: ["Ask the signer which set is the right one, by its identity (the SHA-256 of its index).", "$ sha256sum NAME.index.json", "Pack the right content again: it gets a higher sequence.", "If neither signer knows the set, revoke the key.", "$ sealift trust revoke KEY.pub"],
        remedy: "ask the signer which of both is right, by the SHA-256 of the index; pack it again under a new sequence",
    }

    /// The stream is not trusted.
    StreamNotTrusted = "STREAM_NOT_TRUSTED", 17 {
        means: "The signature holds and its key is known, but this side does not let that key speak for the stream of the set.",
        why: ["The key is trusted for other streams.", "A set made for another purpose or site was inserted."],
        steps: ["See which key may speak for which stream.", "$ sealift trust list", "If this one should, say so.", "$ sealift trust add stream:NAME KEY.pub"],
        remedy: "if this key may speak for the stream: `sealift trust add stream:NAME KEY.pub`",
    }

    /// The set is for another site.
    AudienceMismatch = "AUDIENCE_MISMATCH", 17 {
        means: "The set names the sites it is meant for, and this site is not among them.",
        why: ["A medium for another site was inserted.", "The label of this site was not set, or is spelt otherwise."],
        steps: ["See the label of this site and the audience of the set.", "$ sealift trust list", "$ sealift inspect PATH", "Set the label once.", "$ sealift trust audience LABEL"],
        remedy: "insert the medium meant for this site, or correct its label with `sealift trust audience LABEL`",
    }

    /// The first set of a stream needs a word.
    FirstSet = "FIRST_SET", 17 {
        means: "This host has no record of the stream for this target. A record is what protects against old sets, so that the first one needs a word of yours.",
        why: ["It is the first set of the stream for this target.", "The record was lost, or the command runs under another user, host or SEALIFT_HOME than before."],
        steps: ["Compare stream, sequence and date in the message with what the signer told you.", "Then allow it; the option does nothing in later runs.", "$ sealift unpack PATH --to REGISTRY/PREFIX --first"],
        remedy: "compare stream, sequence and date with the signer, then run again with --first",
    }

    /// A release is not what its publisher signed, or nobody signed it.
    ReleaseSignature = "RELEASE_SIGNATURE", 18 {
        means: "An OpenShift release has no signature that holds: none was found, none is by a key you have, or it is for other content. Such a release is not carried.",
        why: ["The key that signs releases is not on this machine.", "The signature store cannot be reached, or does not have this release (nightly builds and your own releases are not signed).", "The release or its signature was changed on its way, or the saved plan that names it."],
        steps: ["Give the key: it is on every RHEL and Fedora machine, and on the publisher's web site under its fingerprint.", "$ sealift pack imageset.yaml OUT --release-key /etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release", "Only for a release that nobody signs: carry it without proof, on your own word.", "$ sealift pack imageset.yaml OUT --ignore-release-signature"],
        remedy: "give the key with --release-key FILE; only a release that nobody signs is carried with --ignore-release-signature",
    }

    /// The signature policy does not accept an image.
    PolicyRefused = "POLICY_REFUSED", 19 {
        means: "The signature policy given with --policy does not accept an image. On the connected side it was not fetched; inside, the set holds what this side does not accept.",
        why: ["The image is not signed, or by another key than the policy names.", "Cosign signs the repository without a tag: with an image asked for by tag the policy needs signedIdentity matchRepository.", "The image comes from a mirror and is signed under its original name: the policy needs remapIdentity.", "For signedBy: nobody has said where OpenPGP signatures of the image lie (--lookaside, containers-registries.d(5)), or the key or the signature has expired.", "The policy wants something that cannot be proven offline: Fulcio, Rekor.", "A saved plan says that sealift made the image, and it was not made on this machine.", "The image or its signature was changed."],
        steps: ["The error names the scope of the policy that applied, and what is lacking.", "See which signatures there are.", "$ sealift plan REFERENCE", "Verify one by hand with the key the policy names.", "$ cosign verify --key KEY.pub REFERENCE", "Signatures of podman and skopeo lie in a lookaside: name it where the set is packed.", "$ sealift pack REFERENCE OUT --policy policy.json --lookaside FOLDER", "Without the images that are not accepted, the rest can be packed.", "$ sealift pack imageset.yaml OUT --policy policy.json --keep-going"],
        remedy: "have the image signed by a key the policy names, or correct the policy; --keep-going packs the rest",
    }

    /// A registry does not answer.
    RegistryUnreachable = "REGISTRY_UNREACHABLE", 20 {
        means: "A registry does not answer: no address, no connection, no answer in time.",
        why: ["The name is misspelt or not in the DNS of this network.", "A firewall or proxy stands between.", "The registry is down."],
        steps: ["$ getent hosts NAME", "$ curl -v HOST:PORT/v2/", "Run the same command again when it answers: what is done is not done twice."],
        remedy: "check name, port, proxy and firewall; then run the same command again, it goes on where it stopped",
    }

    /// TLS is not trusted.
    CertificateUntrusted = "CERTIFICATE_UNTRUSTED", 20 {
        means: "The registry answers, but its certificate is not trusted, has expired, or is for another name; or it does not speak TLS at all.",
        why: ["The registry's authority is not in the system's store.", "The clock of this host is wrong.", "The registry speaks plain HTTP."],
        steps: ["Give the authority's certificate.", "$ sealift unpack PATH --to REGISTRY/PREFIX --ca-file ca.pem", "$ date", "For a registry without TLS in a network you trust: --dest-tls-verify=false (unpack), --src-tls-verify=false (plan, pack). Digests are verified all the same; names and passwords travel in the clear."],
        remedy: "give the registry's authority with --ca-file, or check the clock of this host",
    }

    /// A registry keeps failing.
    RegistryFailed = "REGISTRY_FAILED", 20 {
        means: "The registry answers with errors of its own (5xx), or asks to wait (429), and went on doing so through all retries.",
        why: ["It is overloaded, its storage is full or broken, or its rate limit is reached."],
        steps: ["Look into the registry's log.", "Ask less of it at a time.", "$ sealift pack ... --parallel 1", "Run the same command again later: what is done is not done twice."],
        remedy: "look into the registry's log; run the same command again later or with --parallel 1",
    }

    /// Credentials are refused.
    LoginRefused = "LOGIN_REFUSED", 21 {
        means: "The registry refuses the credentials, or wants some and none were found.",
        why: ["There is no entry for this registry in the credentials file, or it has expired.", "The account may not read, or not write, that repository."],
        steps: ["Log in with any of the usual tools, then name the file it wrote.", "$ podman login --authfile auth.json HOST", "$ sealift pack ... --authfile auth.json OUT", "With --authfile or REGISTRY_AUTH_FILE only that one file is read."],
        remedy: "log in (`podman login --authfile auth.json HOST`) and give --authfile auth.json; the account needs pull or push rights",
    }

    /// The registry does not take it.
    PushRefused = "PUSH_REFUSED", 22 {
        means: "The registry refuses content or a tag.",
        why: ["The repository or project does not exist and the registry makes none by itself.", "A quota is full, tags are immutable, the name is nested more deeply than it allows, or a body is larger than a proxy before it takes (413)."],
        steps: ["The cause holds the registry's own words.", "Create the project, raise the quota or the proxy's limit, or flatten the names.", "$ sealift unpack PATH --to REGISTRY/PREFIX --max-nested-paths 2"],
        remedy: "read the registry's words above: create the project, raise the quota or limit, or use --max-nested-paths",
    }

    /// The source image is not there.
    SourceMissing = "SOURCE_MISSING", 23 {
        means: "An image asked for is not in its source.",
        why: ["The tag or name is misspelt, or was removed.", "The image has no member for the platform asked for.", "Some registries answer so when a login is needed."],
        steps: ["Correct the reference, or pack the rest without it.", "$ sealift pack imageset.yaml --key site --keep-going OUT"],
        remedy: "correct the reference, or pack the rest with --keep-going",
    }

    /// The source sent something else.
    SourceWrong = "SOURCE_WRONG", 24 {
        means: "A source delivered bytes that are not what their digest says, again after retries. They were thrown away.",
        why: ["A proxy or cache between hands out damaged or other content.", "The registry's storage is damaged."],
        steps: ["Go around the proxy, or use another mirror.", "Run the same command again: what is whole is kept."],
        remedy: "go around the proxy or mirror that sent it, then run the same command again",
    }

    /// Not possible to carry.
    CannotCarry = "CANNOT_CARRY", 25 {
        means: "The image is of a kind that cannot be carried unchanged, or its documents break the rules of their format or a limit on input.",
        why: ["A schema 1 manifest: its digest does not survive, and registries no longer take it.", "A digest algorithm registries do not share, a foreign layer, a document that is malformed or larger than any registry accepts."],
        steps: ["Ask its publisher for a current image; or re-push it from a current tool and use that one.", "Or pack the rest without it.", "$ sealift pack imageset.yaml --key site --keep-going OUT"],
        remedy: "use a current build of that image, or pack the rest with --keep-going",
    }

    /// Two images, one name.
    NameCollision = "NAME_COLLISION", 26 {
        means: "Two different images would get the same repository and tag in the target; the later would silently replace the earlier.",
        why: ["Equal paths and tags of two registries: the target keeps the path, not the host.", "Names were flattened by --max-nested-paths.", "A target name or tag in the ImageSet is used twice."],
        steps: ["Give one of them another target in the ImageSet (targetRepo, targetTag), or put them into two sets with different prefixes.", "$ sealift plan imageset.yaml"],
        remedy: "give one of them another target name or tag in the ImageSet",
    }

    /// A catalog, chart, release or update graph is broken.
    ContentInvalid = "CONTENT_INVALID", 27 {
        means: "A catalog, a chart, a release image or an update graph was fetched whole, and is not as its format demands. The message names the place.",
        why: ["A catalog with two heads in one channel, a cycle, or a bundle without a version.", "A catalog in the old SQLite form.", "A release image without image-references.", "A chart that cannot be rendered with its default values.", "A server or proxy that answers with an error page."],
        steps: ["Read the place in the message; tell who publishes that content.", "Leave that item out of the ImageSet, or pack the rest and have the item listed.", "$ sealift pack imageset.yaml OUT --keep-going"],
        remedy: "leave the item out of the ImageSet, or pack the rest with --keep-going",
    }

    /// What was asked for is not published.
    ContentNotFound = "CONTENT_NOT_FOUND", 28 {
        means: "A release, channel, package, version or image that was asked for does not exist where it was looked for: what does not exist at its source, what no receipt names, what a target lacks. The message names the nearest ones where there are any.",
        why: ["A name or version is misspelt.", "The version is in another channel, or is not published for this architecture.", "It was withdrawn since the ImageSet was written.", "where: the image was brought by another host, whose receipts are not here, or has another name at the target.", "check: the target lost it, or it never came to its end."],
        steps: ["See what there is.", "$ sealift list releases --channel stable-4.16", "$ sealift list operators --catalog REFERENCE --package NAME", "Correct the ImageSet.", "Look in other receipts.", "$ sealift where IMAGE --receipts FILE", "Bring again what a target lacks.", "$ sealift unpack /media/disc --to TARGET"],
        remedy: "correct the name or version in the ImageSet; `sealift list` shows what there is",
    }

    /// The disk is full.
    NoSpace = "NO_SPACE", 30 {
        means: "There is no room left where something had to be written. Nothing half-written is visible under a final name.",
        why: ["The disk or the quota is full.", "The file system takes no file of that size (FAT32: less than 4 GiB)."],
        steps: ["See what a pack needs, and what there is.", "$ sealift plan imageset.yaml", "$ df -h PATH", "Make room, or write elsewhere (OUT, --workspace, --spool), then run the same command again."],
        remedy: "make room or write elsewhere (OUT, --workspace, --spool); then run the same command again",
    }

    /// Writing is not allowed.
    NotWritable = "NOT_WRITABLE", 31 {
        means: "The place may not be written to.",
        why: ["A read-only medium or mount.", "The folder belongs to another user."],
        steps: ["$ findmnt -T PATH", "$ ls -ld PATH", "Choose another folder, or change its owner or mode."],
        remedy: "choose a folder this user may write to",
    }

    /// Another run is at it.
    InUse = "IN_USE", 32 {
        means: "Another run of sealift is working in that folder: two at once could mix their files. Or, of serve, another program listens at that address and port.",
        why: ["The other run is still going on.", "A run on another host shares the folder over the network.", "\"cannot listen at\": a registry that runs already, as a service for example, or another program has the port."],
        steps: ["$ pgrep -a sealift", "$ ss -ltnp", "Choose another port with serve --listen ADDRESS:PORT.", "Wait for it, or use another folder. A lock left over by a crash does not exist: the system lets go of it."],
        remedy: "wait for the other run, or use another folder",
    }

    /// The folder already holds something.
    NotEmpty = "NOT_EMPTY", 32 {
        means: "The place to write to already holds a finished set, a key of that name, or somebody's files. They are never overwritten.",
        why: ["The same OUT or the same key name was given before.", "\"neither empty nor ...\": a layout (oci:DIR) or a folder for serve --init is made in a new or empty folder only, and this one holds something else."],
        steps: ["Give another folder or name, or move the old one away yourself.", "$ ls PATH"],
        remedy: "give another folder or name, or move the old one away yourself",
    }

    /// The program is wrong.
    Bug = "BUG", 70 {
        means: "Sealift met a state it holds to be impossible. It stopped rather than go on with it.",
        why: ["A defect of the program. Or of the machine: memory errors look like this."],
        steps: ["Nothing half-done is visible under a final name; running the same command again is safe.", "Report it: the version, the command, the whole message, and the output with -v.", "$ sealift --version"],
        remedy: "run again with -v and report version, command and output; running again is safe",
    }

    /// The user stopped the run.
    Interrupted = "INTERRUPTED", 130 {
        means: "The run was stopped by Ctrl-C or a termination signal and has left a state it can go on from.",
        why: ["SIGINT or SIGTERM arrived. A second one ends the process at once, which is safe as well."],
        steps: ["Run the same command again: what is done is not done twice."],
        remedy: "run the same command again, it goes on where it stopped",
    }
}
