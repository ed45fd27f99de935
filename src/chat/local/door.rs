//! Who may talk to the page (`security.md` 4.10): the right Host, the right Origin, and the token that was printed.
//!
//! Any other page in the person's browser can send requests to this port, and a rebound name can even read the
//! answers; each check closes one of these ways.

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, header};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It was meant for another host.
    Host,
    /// It comes from another page.
    Origin,
    /// It does not have the token.
    Token,
}

/// The token and the names under which this server may be addressed.
pub struct Door {
    token: String,
    cookie: String,
    hosts: Vec<String>,
}

impl Door {
    /// For a server at `address`. Without a configured token a random one of 128 bits is made. Fails when the system
    /// has no randomness, when a configured token does not fit into a URL, and beyond loopback without one.
    pub fn new(address: SocketAddr, configured: Option<&str>) -> io::Result<Self> {
        let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        let fits =
            |token: &str| token.len() >= 16 && token.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let token = match configured {
            Some(token) if !fits(token) => {
                return refuse("the page's token needs at least 16 letters, digits, - or _");
            }
            None if !address.ip().is_loopback() => {
                return refuse("listening beyond this machine needs a configured token");
            }
            Some(token) => token.to_owned(),
            None => random_hex()?,
        };
        let port = address.port();
        let names = ["127.0.0.1", "localhost", "[::1]"];
        let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        hosts.push(address.to_string());
        // Cookies ignore the port, so two daemons on one machine need two names.
        Ok(Self { token, cookie: format!("codebutler_{port}"), hosts })
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The cookie that a browser gets for the token.
    pub fn set_cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.token)
    }

    /// Whether the request carries the token in its address, as the printed one does.
    pub fn has_ticket(&self, request: &Request) -> bool {
        let query = request.uri().query().unwrap_or_default();
        request.uri().path() == "/" && query.split('&').filter_map(|pair| pair.strip_prefix("t=")).any(|t| self.fits(t))
    }

    /// Checks for which host a request is and from which page it comes.
    pub fn check_place(&self, request: &Request) -> Result<(), Refusal> {
        let known = |host: &str| self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        if !text(request.headers(), &header::HOST).is_some_and(known) {
            return Err(Refusal::Host);
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let foreign = request.headers().get(header::ORIGIN).is_some_and(|origin| {
            !origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).is_some_and(known)
        });
        if foreign && !reads { Err(Refusal::Origin) } else { Ok(()) }
    }

    /// Checks the token in the cookie or in the `Authorization` header.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let bearer = text(headers, &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let admitted = bearer.is_some_and(|token| self.fits(token))
            || pairs.any(|(name, token)| name == self.cookie && self.fits(token));
        if admitted { Ok(()) } else { Err(Refusal::Token) }
    }

    /// Compares in a time that does not depend on where the difference is.
    fn fits(&self, token: &str) -> bool {
        let (ours, theirs) = (self.token.as_bytes(), token.as_bytes());
        let differs = ours.iter().zip(theirs).fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
        ours.len() == theirs.len() && differs == 0
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// 128 random bits.
pub fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
