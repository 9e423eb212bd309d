//! Whatever the cluster does with what the operator writes, the status is true.

mod keys;
mod openshift;
mod policies;
mod refused_writes;
