//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what the system allows, and logs what it is.
///
/// Systems let processes have 1,024 open files unless they ask for more, which is fewer than the
/// connections that a node serves beside its database and static files.
pub(crate) fn raise_limit() {
    let Rlimit { current: before, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) if before == maximum => {}
        Ok(()) => {
            tracing::info!(
                target: "lockstep",
                before = %text(before),
                now = %text(maximum),
                "raised the limit of open files"
            );
        }
        Err(error) => {
            tracing::warn!(
                target: "lockstep",
                %error,
                limit = %text(before),
                "could not raise the limit of open files"
            );
        }
    }
}

fn text(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |files| files.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let low = Some(maximum.unwrap_or(u64::MAX).min(512));
        setrlimit(Resource::Nofile, Rlimit { current: low, maximum }).unwrap();
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
    }
}
