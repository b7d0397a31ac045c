//! Time zones, as the server knows them.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;

use pgrx::pg_sys;

use crate::domain::cron::Zone;
use crate::domain::time::Timestamp;

/// A time zone of the server's own data, so that schedules agree with `SET TimeZone` and
/// `AT TIME ZONE`, also after an update of that data.
#[derive(Clone, Copy, Debug)]
pub struct ServerZone(NonNull<pg_sys::pg_tz>);

/// No time zone has this name.
#[derive(Debug)]
pub struct UnknownZone(String);

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "time zone \"{}\" is not known", self.0)
    }
}

impl ServerZone {
    /// The zone of that IANA name, in upper or lower case.
    ///
    /// # Errors
    /// The name is not in the server's data, or it is a POSIX specification: those mean what they do
    /// not seem to (`UTC+3` lies west), and a misspelt name with a digit is one.
    pub fn named(name: &str) -> Result<ServerZone, UnknownZone> {
        let unknown = || UnknownZone(name.to_owned());
        if name.is_empty() || is_posix(name) {
            return Err(unknown());
        }
        let c_name = CString::new(name).map_err(|_| unknown())?;
        // SAFETY: the name is a C string. What it returns lives as long as the process.
        let zone = NonNull::new(unsafe { pg_sys::pg_tzset(c_name.as_ptr()) }).ok_or_else(unknown)?;
        // SAFETY: the zone is valid. One that counts leap seconds is not what PostgreSQL works with.
        if unsafe { pg_sys::pg_tz_acceptable(zone.as_ptr()) } {
            Ok(ServerZone(zone))
        } else {
            Err(unknown())
        }
    }
}

impl Zone for ServerZone {
    fn utc_offset(&self, at: Timestamp) -> i32 {
        let seconds = at.unix_seconds();
        // SAFETY: the zone lives as long as the process; the result is copied at once.
        let local = unsafe { pg_sys::pg_localtime(&raw const seconds, self.0.as_ptr()).as_ref() };
        local.map_or(0, |local| i32::try_from(local.tm_gmtoff).unwrap_or(0))
    }
}

/// Whether PostgreSQL would read the name as a specification of its own, such as `FOO5BAR`: these have a
/// number, and few names in the tz database do.
fn is_posix(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "GMT0", "GMT+0", "GMT-0",
    ];
    // Debian has the whole database in this folder once more.
    const COPY: &str = "posix/";
    let name = match name.get(..COPY.len()) {
        Some(folder) if folder.eq_ignore_ascii_case(COPY) => &name[COPY.len()..],
        _ => name,
    };
    let is_listed = NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    name.bytes().any(|byte| byte.is_ascii_digit()) && !is_listed && !is_etc(name)
}

/// `Etc/GMT0`, `Etc/GMT-14` to `Etc/GMT+12`.
fn is_etc(name: &str) -> bool {
    let Some(prefix) = name.get(.."Etc/GMT".len()) else {
        return false;
    };
    let hours = &name[prefix.len()..];
    let is_hours = match hours.parse::<i8>() {
        Ok(number) => {
            (-14..=12).contains(&number) && hours.trim_start_matches(['+', '-']) == number.abs().to_string()
        }
        Err(_) => false,
    };
    prefix.eq_ignore_ascii_case("Etc/GMT") && is_hours && (hours == "0" || hours.starts_with(['+', '-']))
}

#[cfg(test)]
mod tests {
    use super::is_posix;

    #[test]
    fn names_of_the_database_that_hold_numbers_are_no_specifications() {
        for name in [
            "Etc/GMT+5",
            "etc/gmt-14",
            "Etc/GMT+12",
            "Etc/GMT0",
            "posix/EST5EDT",
            "EST5EDT",
            "gmt+0",
            "Europe/Berlin",
        ] {
            assert!(!is_posix(name), "{name}");
        }
    }

    #[test]
    fn specifications_are_found() {
        for name in [
            "UTC+3",
            "FOO5",
            "<+03>-3",
            "Etc/GMT+13",
            "Etc/GMT-15",
            "Etc/GMT5",
            "Etc/GMT+05",
            "EST5",
            "EST5EDT,M3.2.0,M11.1.0",
            "America/New_York5",
        ] {
            assert!(is_posix(name), "{name}");
        }
    }
}
