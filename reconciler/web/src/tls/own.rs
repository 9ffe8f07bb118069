//! A CA of the panel's own, for as long as nobody has given it a certificate: whoever installs this CA's certificate sees no
//! warning any more, and it can speak for no other name.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Years that the CA is good for.
const CA_YEARS: i64 = 20;
/// Days that a certificate is good for. The process makes a new one long before.
const DAYS: i64 = 90;

/// The own CA can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum OwnError {
    /// A file of it.
    #[error("cannot keep the panel's own CA at {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A certificate or a key.
    #[error("cannot make a certificate for {domain}")]
    Make {
        domain: String,
        #[source]
        source: rcgen::Error,
    },
}

/// Path of the certificate of the CA for a name, in the panel's data.
pub fn ca_path(data: &Path, domain: &str) -> PathBuf {
    folder(data, domain).join("ca.pem")
}

fn folder(data: &Path, domain: &str) -> PathBuf {
    data.join("own-ca").join(domain)
}

/// Makes a certificate for a name and for the machine's names for itself, and the CA where there is none yet.
pub(super) fn issue(
    data: &Path,
    domain: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), OwnError> {
    let made = |source| OwnError::Make { domain: domain.to_owned(), source };
    let key = KeyPair::from_pem(&ca_key(data, domain)?).map_err(made)?;
    let issuer = Issuer::new(ca_params(domain), key);
    let names = [domain, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).map_err(made)?;
    params.distinguished_name = name(domain);
    lasts(&mut params, DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let own = KeyPair::generate().map_err(made)?;
    let leaf = params.signed_by(&own, &issuer).map_err(made)?;
    let key = PrivatePkcs8KeyDer::from(own.serialize_der());
    Ok((vec![leaf.der().clone()], key.into()))
}

/// Reads the key of the CA for a name, or makes the CA. A key without its certificate, which a crash may leave, is made anew.
fn ca_key(data: &Path, domain: &str) -> Result<String, OwnError> {
    let (certificate, key) = (ca_path(data, domain), folder(data, domain).join("ca-key.pem"));
    let read = |path: &Path| match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|source| OwnError::File { path: path.to_owned(), source }),
    };
    if let (Some(_), Some(key)) = (read(&certificate)?, read(&key)?) {
        return Ok(key);
    }
    let made = |source| OwnError::Make { domain: domain.to_owned(), source };
    let (made_certificate, made_key) = make_ca(domain).map_err(made)?;
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| OwnError::File { path, source }
    };
    let folder = folder(data, domain);
    fs::create_dir_all(&folder).map_err(file(&folder))?;
    berth_host::file::replace(&key, made_key.as_bytes(), 0o600).map_err(file(&key))?;
    berth_host::file::replace(&certificate, made_certificate.as_bytes(), 0o644)
        .map_err(file(&certificate))?;
    Ok(made_key)
}

fn make_ca(domain: &str) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((ca_params(domain).self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Parameters of the CA for a name.
fn ca_params(domain: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("Berth panel at {domain}"));
    lasts(&mut params, CA_YEARS * 365);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let address = |address: IpAddr| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            address,
            if address.is_ipv4() { 32 } else { 128 },
        ))
    };
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName(domain.to_owned()),
            GeneralSubtree::DnsName("localhost".to_owned()),
            address(Ipv4Addr::LOCALHOST.into()),
            address(Ipv6Addr::LOCALHOST.into()),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // The field takes 64 characters (RFC 5280); no program looks for the name there.
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

/// Makes a certificate good from yesterday, since clocks differ, until so many days from now.
fn lasts(params: &mut CertificateParams, days: i64) {
    let now = Zoned::new(Timestamp::now(), TimeZone::UTC);
    let day = |days: i64| {
        let day = now.checked_add(days.days()).unwrap_or_else(|_| now.clone()).date();
        date_time_ymd(i32::from(day.year()), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (day(-1), day(days));
}
