//! The table of all that is hostile here. Each row is a function with the attack and, beside it, the
//! same code where it is granted; it becomes a test of its own name, and one of those that `storm`
//! lets loose together. One that is not in the table is never run, and the compiler says so.

/// One row: its name, and what runs it.
pub(crate) type Row = (&'static str, fn() -> Running);

/// An attack and its control, under way.
pub(crate) type Running = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! hostile {
    ($($module:ident: $($name:ident)*;)*) => {
        /// Every row.
        pub(crate) const ALL: &[Row] = &[$($((
            concat!(stringify!($module), "::", stringify!($name)),
            || Box::pin(crate::$module::$name()),
        ),)*)*];

        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                crate::$module::$name().await;
            })*
        })*
    };
}

hostile! {
    files:
        dot_dot_escape absolute_path_escape symlink_escape write_through_read_grant
        write_outside_a_write_grant folder_exchanged_after_admission handle_hoard special_file;
    http:
        another_host_port_method_or_path path_escape host_header_smuggling name_of_private_address
        rebinding_name redirect_to_private_address too_many_calls response_bomb request_bomb;
    limits:
        endless_loop fuel_bomb memory_bomb memory_bomb_at_the_start deep_recursion huge_return
        claimed_length not_a_number wrong_arguments;
    loading:
        bounds proposals_that_are_off type_bomb unknown_imports what_is_not_granted_does_not_exist;
    net: another_port_or_address listening_udp_and_names stub;
    secrets: secret_misplaced secret_echo;
    tricks:
        table_bomb malformed_result endless_start spawning_threads dns_exfiltration fd_flood hard_link
        planted_symlink rename_race component_exchanged_after_loading;
    world:
        env_snooping virtual_clock seeded_random huge_log panic exit kv_undeclared_namespace
        kv_half_written kv_bounds;
}
