//! The user that a client certificate names, for SASL EXTERNAL. Pure.

use std::net::IpAddr;

use x509_parser::oid_registry::{
    OID_DOMAIN_COMPONENT, OID_PKCS9_EMAIL_ADDRESS, OID_USERID, OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME,
    OID_X509_GIVEN_NAME, OID_X509_LOCALITY_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
    OID_X509_SERIALNUMBER, OID_X509_STATE_OR_PROVINCE_NAME, OID_X509_STREET_ADDRESS, OID_X509_SURNAME,
    OID_X509_TITLE, Oid,
};
use x509_parser::prelude::{
    ASN1Time, AttributeTypeAndValue, FromDer, GeneralName, X509Certificate, X509Name,
};

use crate::config::{LoginFrom, SanType, TlsOptions};

/// Why a certificate names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    #[error("the certificate's subject has no common name (tls.login_from)")]
    NoCommonName,
    #[error("the certificate's subject is empty (tls.login_from)")]
    NoSubject,
    #[error(
        "the certificate has {found} alternative names of type {wanted:?}; number {index} is wanted (tls.login_san_index)"
    )]
    NoAlternativeName { wanted: SanType, found: usize, index: usize },
    #[error("the certificate's name is not text")]
    NotText,
    #[error("an account cannot be made by certificate; sign up with a password")]
    CannotSignUp,
}

/// What a certificate says, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// `None` where it is empty, or no text.
    pub subject: Option<Box<str>>,
    pub issuer: Option<Box<str>>,
    /// From when to when, in UTC.
    pub validity: Box<str>,
}

/// `None` where it cannot be read.
pub fn facts(certificate: &[u8]) -> Option<CertificateFacts> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = |name| distinguished_name(name).ok().map(String::into_boxed_str);
    let validity = certificate.validity();
    Some(CertificateFacts {
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        validity: format!("{} - {}", instant(validity.not_before), instant(validity.not_after)).into(),
    })
}

/// As in ISO 8601.
fn instant(time: ASN1Time) -> String {
    let at = time.to_datetime();
    let (date, month) = (at.date(), u8::from(at.month()));
    let (hour, minute, second) = at.to_hms();
    format!("{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", date.year(), date.day())
}

/// The user's name in a certificate (DER), found where the options say.
pub fn user_name(certificate: &[u8], options: &TlsOptions) -> Result<String, CertificateError> {
    let parsed = X509Certificate::from_der(certificate);
    let (_, certificate) = parsed.map_err(|error| CertificateError::Unreadable(error.to_string()))?;
    match options.login_from {
        LoginFrom::CommonName => common_name(certificate.subject()),
        LoginFrom::DistinguishedName => distinguished_name(certificate.subject()),
        LoginFrom::SubjectAlternativeName => {
            alternative_name(&certificate, options.login_san_type, options.login_san_index)
        }
    }
}

/// Several are joined by commas, as RabbitMQ does it.
fn common_name(subject: &X509Name<'_>) -> Result<String, CertificateError> {
    let names: Vec<&str> = subject.iter_common_name().map(text).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(CertificateError::NoCommonName);
    }
    Ok(names.join(","))
}

/// `CN=alice,O=Warren`: the last part first, as in RFC 4514 and RabbitMQ.
fn distinguished_name(subject: &X509Name<'_>) -> Result<String, CertificateError> {
    let mut parts = Vec::new();
    for rdn in subject.iter_rdn() {
        let attributes: Vec<String> = rdn
            .iter()
            .map(|attribute| {
                Ok(format!("{}={}", short_name(attribute.attr_type()), escaped(text(attribute)?)))
            })
            .collect::<Result<_, _>>()?;
        parts.push(attributes.join("+"));
    }
    if parts.is_empty() {
        return Err(CertificateError::NoSubject);
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn alternative_name(
    certificate: &X509Certificate<'_>,
    wanted: SanType,
    index: usize,
) -> Result<String, CertificateError> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|error| CertificateError::Unreadable(error.to_string()))?;
    let all = extension.iter().flat_map(|extension| &extension.value.general_names);
    let names: Vec<String> = all.filter_map(|name| of_type(name, wanted)).collect();
    let found = names.len();
    names.into_iter().nth(index).ok_or(CertificateError::NoAlternativeName { wanted, found, index })
}

fn of_type(name: &GeneralName<'_>, wanted: SanType) -> Option<String> {
    match (wanted, name) {
        (SanType::Dns, GeneralName::DNSName(name))
        | (SanType::Email, GeneralName::RFC822Name(name))
        | (SanType::Uri, GeneralName::URI(name)) => Some((*name).to_owned()),
        (SanType::Ip, GeneralName::IPAddress(octets)) => {
            let address: IpAddr = match octets.len() {
                4 => <[u8; 4]>::try_from(*octets).ok()?.into(),
                _ => <[u8; 16]>::try_from(*octets).ok()?.into(),
            };
            Some(address.to_string())
        }
        _ => None,
    }
}

fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Result<&'a str, CertificateError> {
    attribute.as_str().map_err(|_| CertificateError::NotText)
}

fn short_name(oid: &Oid<'_>) -> String {
    let known = [
        (OID_X509_COMMON_NAME, "CN"),
        (OID_X509_ORGANIZATION_NAME, "O"),
        (OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (OID_X509_LOCALITY_NAME, "L"),
        (OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (OID_X509_COUNTRY_NAME, "C"),
        (OID_X509_STREET_ADDRESS, "STREET"),
        (OID_DOMAIN_COMPONENT, "DC"),
        (OID_USERID, "UID"),
        (OID_X509_SURNAME, "SN"),
        (OID_X509_GIVEN_NAME, "GIVENNAME"),
        (OID_X509_TITLE, "TITLE"),
        (OID_X509_SERIALNUMBER, "SERIALNUMBER"),
        (OID_PKCS9_EMAIL_ADDRESS, "EMAILADDRESS"),
    ];
    let name = known.iter().find(|(known, _)| known == oid).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| oid.to_id_string())
}

/// RFC 4514 §2.4.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let at_an_end = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
        if at_an_end || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType as Name};

    use super::*;

    fn certificate(parts: &[(DnType, &str)], names: Vec<Name>) -> Vec<u8> {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn from(login_from: LoginFrom) -> TlsOptions {
        TlsOptions { login_from, ..TlsOptions::default() }
    }

    #[test]
    fn the_common_name_is_the_user() {
        let alice =
            certificate(&[(DnType::OrganizationName, "Warren"), (DnType::CommonName, "alice")], vec![]);
        assert_eq!(user_name(&alice, &TlsOptions::default()), Ok("alice".into()));
        let nobody = certificate(&[(DnType::OrganizationName, "Warren")], vec![]);
        assert_eq!(user_name(&nobody, &TlsOptions::default()), Err(CertificateError::NoCommonName));
    }

    #[test]
    fn the_distinguished_name_begins_with_its_last_part() {
        let parts = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Warren, Inc."),
            (DnType::CommonName, "alice"),
        ];
        let options = from(LoginFrom::DistinguishedName);
        assert_eq!(
            user_name(&certificate(&parts, vec![]), &options),
            Ok(r"CN=alice,O=Warren\, Inc.,C=DE".into())
        );
        assert_eq!(user_name(&certificate(&[], vec![]), &options), Err(CertificateError::NoSubject));
    }

    #[test]
    fn the_facts_are_subject_issuer_and_validity() {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2051, 11, 30);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let expected = CertificateFacts {
            subject: Some("CN=alice".into()),
            issuer: Some("CN=alice".into()),
            validity: "2026-01-02T00:00:00Z - 2051-11-30T00:00:00Z".into(),
        };
        assert_eq!(facts(signed.der()), Some(expected));
        assert_eq!(facts(b"abc"), None);
    }

    #[test]
    fn an_alternative_name_is_chosen_by_type_and_number() {
        let names = vec![
            Name::DnsName("one.example".try_into().unwrap()),
            Name::Rfc822Name("alice@example.com".try_into().unwrap()),
            Name::DnsName("two.example".try_into().unwrap()),
            Name::IpAddress("192.0.2.7".parse().unwrap()),
            Name::IpAddress("2001:db8::7".parse().unwrap()),
            Name::URI("spiffe://example/alice".try_into().unwrap()),
        ];
        let certificate = certificate(&[(DnType::CommonName, "alice")], names);
        for (wanted, index, expected) in [
            (SanType::Dns, 0, "one.example"),
            (SanType::Dns, 1, "two.example"),
            (SanType::Email, 0, "alice@example.com"),
            (SanType::Ip, 0, "192.0.2.7"),
            (SanType::Ip, 1, "2001:db8::7"),
            (SanType::Uri, 0, "spiffe://example/alice"),
        ] {
            let options = TlsOptions {
                login_san_type: wanted,
                login_san_index: index,
                ..from(LoginFrom::SubjectAlternativeName)
            };
            assert_eq!(user_name(&certificate, &options), Ok(expected.into()));
        }
        let options = TlsOptions { login_san_index: 2, ..from(LoginFrom::SubjectAlternativeName) };
        let missing = CertificateError::NoAlternativeName { wanted: SanType::Dns, found: 2, index: 2 };
        assert_eq!(user_name(&certificate, &options), Err(missing));
    }

    #[test]
    fn values_are_escaped() {
        for (value, expected) in
            [("plain", "plain"), (" a ", r"\ a\ "), ("#a", r"\#a"), ("a#,b+", r"a#\,b\+"), ("", "")]
        {
            assert_eq!(escaped(value), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        assert!(matches!(user_name(b"abc", &TlsOptions::default()), Err(CertificateError::Unreadable(_))));
    }
}
