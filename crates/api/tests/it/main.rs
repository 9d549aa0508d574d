//! What the description of the API says.

#[cfg(test)]
mod contract;
