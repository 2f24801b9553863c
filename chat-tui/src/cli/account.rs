//! Who signs in where.

use std::process::{Command, Stdio};
use std::str::FromStr;

use shared::client::{BrokerUri, UriError};
use shared::topology::check_user_name;

use super::Failure;

/// `--broker`, and how much of a login is in it.
#[derive(Debug, Clone)]
pub struct BrokerArgument {
    pub uri: BrokerUri,
    has_user: bool,
    has_password: bool,
}

impl FromStr for BrokerArgument {
    type Err = UriError;

    fn from_str(given: &str) -> Result<BrokerArgument, UriError> {
        let uri = given.parse()?;
        let login = login_part(given);
        let has_password = login.is_some_and(|login| login.contains(':'));
        Ok(BrokerArgument { uri, has_user: login.is_some_and(|login| !login.is_empty()), has_password })
    }
}

impl BrokerArgument {
    pub fn has_password(&self) -> bool {
        self.has_user && self.has_password
    }

    pub fn has_user(&self) -> bool {
        self.has_user
    }
}

fn login_part(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    authority.rsplit_once('@').map(|(login, _)| login)
}

/// The user's name, from `--user` or the URI.
pub fn user(broker: &BrokerArgument, user: Option<&str>) -> Result<String, Failure> {
    let in_uri = broker.has_user.then(|| broker.uri.user());
    let name = match (user, in_uri) {
        (Some(user), Some(other)) if user != other => {
            return Err(format!("--user says {user:?}, the broker's URI says {other:?}: give one of them"));
        }
        (Some(user), _) | (None, Some(user)) => user,
        (None, None) => return Err("who are you? Give --user NAME, or set WARREN_USER".into()),
    };
    check_user_name(name).map_err(|error| format!("{name:?} cannot be a user: {error}"))?;
    Ok(name.to_owned())
}

/// The broker with name and password. Asks for the password, twice if it is `new`, unless it is known.
pub fn login(
    broker: &BrokerArgument,
    given_user: Option<&str>,
    password_command: &[String],
    new: bool,
) -> Result<BrokerUri, Failure> {
    let user = user(broker, given_user)?;
    if let Some(password) = std::env::var_os("WARREN_PASSWORD") {
        let password = password.into_string().map_err(|_| "WARREN_PASSWORD is not UTF-8".to_owned())?;
        return Ok(broker.uri.clone().with_login(&user, &password));
    }
    if broker.has_user && broker.has_password {
        return Ok(broker.uri.clone());
    }
    if let [program, arguments @ ..] = password_command {
        return Ok(broker.uri.clone().with_login(&user, &told(program, arguments)?));
    }
    let password = ask(&format!("Password of {user}: "))?;
    if new && ask("Again: ")? != password {
        return Err("the two passwords differ: start again".into());
    }
    Ok(broker.uri.clone().with_login(&user, &password))
}

/// The first line that the password command prints.
fn told(program: &str, arguments: &[String]) -> Result<String, Failure> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("the password-command {program:?} does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("the password-command {program:?} ended with {}", output.status));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| format!("the password-command {program:?} did not print UTF-8 text"))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(format!("the password-command {program:?} printed no password")),
    }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    rpassword::prompt_password(prompt).map_err(|error| {
        format!("cannot ask for the password ({error}): set WARREN_PASSWORD, or start from a terminal")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(uri: &str) -> BrokerArgument {
        uri.parse().unwrap()
    }

    #[test]
    fn the_name_comes_from_the_option_or_the_uri() {
        assert_eq!(user(&broker("amqp://h"), Some("alice")), Ok("alice".into()));
        assert_eq!(user(&broker("amqp://alice@h"), None), Ok("alice".into()));
        assert_eq!(user(&broker("amqp://alice:pw@h"), Some("alice")), Ok("alice".into()));
        for (uri, given, reason) in [
            ("amqp://h", None, "who are you?"),
            ("amqp://alice@h", Some("bob"), "give one of them"),
            ("amqp://h", Some("Bob"), "no capitals"),
        ] {
            assert!(user(&broker(uri), given).unwrap_err().contains(reason));
        }
    }

    #[test]
    fn a_command_tells_the_password() {
        let sh = |script: &str| told("sh", &["-c".to_owned(), script.to_owned()]);
        assert_eq!(sh("echo s3cret; echo more"), Ok("s3cret".into()));
        for (script, reason) in
            [("exit 3", "3"), ("true", "printed no password"), ("printf '\\377'", "UTF-8")]
        {
            assert!(sh(script).unwrap_err().contains(reason), "{script}");
        }
        assert!(told("no-such-program-here", &[]).unwrap_err().contains("does not start"));
    }

    #[test]
    fn a_login_in_the_uri_is_found() {
        for (uri, has_user, has_password) in [
            ("amqp://h", false, false),
            ("amqp://h/a@b:c", false, false),
            ("amqp://alice@h", true, false),
            ("amqp://alice:pw@h:1/v", true, true),
        ] {
            let found = broker(uri);
            assert_eq!((found.has_user, found.has_password), (has_user, has_password), "{uri}");
        }
    }
}
