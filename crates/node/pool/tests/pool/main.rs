//! The behaviour of the pool: by scenario, against a model, and under attack.

#[cfg(test)]
mod blobs;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod model;
#[cfg(test)]
mod rollup;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod world;
