//! The part of SPDX 2.3's JSON form that is written, in the order of the specification.

use serde::Serialize;

/// SPDX for "not said".
pub(super) const NOASSERTION: &str = "NOASSERTION";

/// Chapter 6.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) spdx_version: &'static str,
    pub(super) data_license: &'static str,
    #[serde(rename = "SPDXID")]
    pub(super) id: &'static str,
    pub(super) name: String,
    #[serde(rename = "documentNamespace")]
    pub(super) namespace: String,
    pub(super) creation_info: CreationInfo,
    pub(super) packages: Vec<Package>,
    #[serde(rename = "hasExtractedLicensingInfos", skip_serializing_if = "Vec::is_empty")]
    pub(super) extracted_licenses: Vec<ExtractedLicense>,
    pub(super) relationships: Vec<Relationship>,
}

#[derive(Debug, Serialize)]
pub(super) struct CreationInfo {
    pub(super) created: String,
    pub(super) creators: Vec<String>,
}

/// Chapter 7.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package {
    #[serde(rename = "SPDXID")]
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "versionInfo", skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(rename = "packageFileName", skip_serializing_if = "Option::is_none")]
    pub(super) file_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) supplier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) originator: Option<String>,
    #[serde(rename = "downloadLocation")]
    pub(super) download: &'static str,
    pub(super) files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_info: Option<String>,
    #[serde(rename = "licenseConcluded")]
    pub(super) concluded: &'static str,
    #[serde(rename = "licenseDeclared")]
    pub(super) declared: String,
    #[serde(rename = "copyrightText")]
    pub(super) copyright: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) external_refs: Vec<ExternalRef>,
    #[serde(rename = "primaryPackagePurpose", skip_serializing_if = "Option::is_none")]
    pub(super) purpose: Option<&'static str>,
}

impl Package {
    /// A package about which nothing is said.
    pub(super) fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            version: None,
            file_name: None,
            supplier: None,
            originator: None,
            download: NOASSERTION,
            files_analyzed: false,
            checksums: Vec::new(),
            homepage: None,
            source_info: None,
            concluded: NOASSERTION,
            declared: NOASSERTION.to_owned(),
            copyright: NOASSERTION,
            summary: None,
            comment: None,
            external_refs: Vec::new(),
            purpose: None,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Checksum {
    pub(super) algorithm: &'static str,
    #[serde(rename = "checksumValue")]
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

impl ExternalRef {
    /// A package URL.
    pub(super) fn purl(locator: String) -> Self {
        Self { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator: locator }
    }
}

/// Chapter 10.
#[derive(Debug, Serialize)]
pub(super) struct ExtractedLicense {
    #[serde(rename = "licenseId")]
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "extractedText")]
    pub(super) text: String,
}

/// Chapter 11.
#[derive(Debug, Serialize)]
pub(super) struct Relationship {
    #[serde(rename = "spdxElementId")]
    from: String,
    #[serde(rename = "relationshipType")]
    relation: &'static str,
    #[serde(rename = "relatedSpdxElement")]
    to: String,
}

impl Relationship {
    /// `from` stands in `relation` to `to`.
    pub(super) fn new(from: &str, relation: &'static str, to: &str) -> Self {
        Self { from: from.to_owned(), relation, to: to.to_owned() }
    }
}
