"""The design's page on security, line by line: each is a case here, which names the tests that would fail if it were not so."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT.parent / "shared" / "design" / "security.md"

EVERY_ROUTE, WALLS, SECRETS = "security/test_every_route", "security/test_walls", "security/test_marked_secrets"
NOTHING_LEAKS = f"{SECRETS}::test_no_marked_secret_comes_out_of_an_answer_a_log_an_event_redis_or_the_database"

# In the order of the page. What stands behind a line has to be there; the page is not part of this repository, so its own words are compared where it is.
LINES: dict[str, list[str]] = {
    # Two walls between tenants
    "The guard: a request's tenant comes from its token alone, never from a body, path or query.": [
        "auth/test_controllers::test_a_token_speaks_for_its_own_tenant_only",
        f"{EVERY_ROUTE}::test_for_a_rival_another_tenants_things_are_as_absent_as_missing_ones",
    ],
    "Handlers get a tenant by dependency, and every query goes through a scope that carries it.": [
        f"{WALLS}::test_outside_of_a_door_no_row_is_visible",
        f"{EVERY_ROUTE}::test_every_route_says_who_may_call_it",
    ],
    "The database: every table with tenant data has row level security, forced, with the policy tenant_id = current_setting('app.tenant_id').": [
        f"{WALLS}::test_every_table_with_tenant_data_has_a_forced_wall",
        f"{WALLS}::test_a_row_cannot_be_written_into_another_tenant",
    ],
    "Two doors lead to data: tenant_scope(tenant_id) and system_scope() (scheduler, dispatcher, operators' commands; greppable, few).": [
        f"{WALLS}::test_few_use_the_system_door_and_each_says_why"
    ],
    "Without a door no row is visible.": [f"{WALLS}::test_outside_of_a_door_no_row_is_visible"],
    "The application connects as a role that can't bypass this, checks so at start, and refuses to run in production as a superuser.": [
        f"{WALLS}::test_a_role_that_bypasses_the_walls_is_refused_in_production"
    ],
    "A test removes the WHERE from a query and still sees only its own rows.": [
        f"{WALLS}::test_a_query_without_where_sees_only_its_own_tenants_rows"
    ],
    "The cache is walled by its keys: the tenant id must be a UUID, a key can't contain what would leave its prefix, and a pattern is escaped up to the "
    "caller's own part.": [
        "test_cache::test_a_tenant_that_is_no_uuid_is_refused",
        "test_cache::test_no_key_reaches_another_tenants_value",
        "test_cache::test_no_pattern_reaches_another_tenants_keys",
    ],
    # Secrets
    "Fernet with a key derived (HKDF-SHA256) from ENCRYPTION_MASTER_KEY per tenant and provider, so a ciphertext moved to another tenant's row or another "
    "column does not decrypt.": [
        "test_vault::test_a_sealed_value_opens_for_its_tenant_and_purpose_only",
        "credentials/test_factory::test_a_key_moved_to_another_tenant_does_not_open",
        "credentials/test_store::test_a_key_that_is_moved_into_the_other_marketplaces_column_does_not_open",
    ],
    "Each value says which master key it was made with: the newest encrypts, all decrypt, keys rotate re-encrypts, resumable, while the service runs; keys "
    "status counts the values per key, and a start without a key that is still in use is refused, with the count.": [
        "test_vault::test_the_newest_master_key_seals_and_all_of_them_open",
        "cli/test_keys::test_status_says_what_each_key_holds_and_rotate_what_is_left",
        "cli/test_keys::test_killed_in_the_middle_nothing_is_lost_and_the_next_one_finishes",
        "credentials/test_rotation::test_a_key_that_a_seller_gives_meanwhile_is_kept",
        "cli/test_keys::test_nothing_starts_without_a_key_that_is_in_use",
    ],
    "Secrets are wrapped in a type whose repr and str are masked, from the request's decoding on.": [
        "test_secret::test_a_secret_shows_itself_nowhere_but_where_it_is_revealed",
        "api/test_bodies::test_secrets_are_masked_from_the_decoding_on",
    ],
    "A test drives every endpoint and both marketplaces' errors with a marked secret and greps logs, responses, events, Redis and the database dump for it.": [
        NOTHING_LEAKS
    ],
    "Nothing secret in URLs, task messages, result backend, logs, metrics labels, traces or error texts.": [
        NOTHING_LEAKS,
        "test_secret::test_a_secret_does_not_travel_to_other_processes",
        "observability/test_logs::test_no_secret_is_written_by_us_or_by_a_library_in_a_line_or_in_a_trace",
        "credentials/test_connect::test_neither_the_token_nor_the_key_stands_anywhere_else",
        "auth/test_authentication::test_a_token_in_the_address_is_none",
    ],
    "A service that can't decrypt (wrong key) says credentials_unreadable for that tenant and stays up for the others.": [
        "credentials/test_store::test_a_key_that_does_not_open_fails_its_tenants_run_and_nobody_elses"
    ],
    # Authentication
    "argon2id in a thread; equal time for unknown users;": [
        "auth/test_passwords::test_two_hashes_of_one_password_differ_and_have_owasps_profile",
        "auth/test_passwords::test_the_loop_goes_on_while_a_password_is_hashed",
        "auth/test_passwords::test_to_find_that_there_is_no_user_takes_as_long_as_a_wrong_password",
        "auth/test_controllers::test_a_wrong_password_and_an_unknown_address_look_the_same",
    ],
    "JWT verified for signature, algorithm (only HS256), exp, iss, aud, with 30 s leeway; key rotation by several secrets;": [
        "auth/test_tokens::test_no_other_token_is_believed",
        "auth/test_tokens::test_a_token_of_the_future_is_not_believed",
        "auth/test_tokens::test_clocks_may_differ_by_half_a_minute",
        "auth/test_tokens::test_the_newest_secret_signs_and_all_of_them_verify",
        "cli/test_keys::test_the_runbook_replaces_the_jwt_secret",
    ],
    "revocation checked on each request in the same Redis round trip as the rate limit;": [
        "auth/test_rate_limits::test_a_request_of_a_known_session_asks_redis_once",
        "auth/test_liveness::test_losing_all_of_redis_brings_no_revoked_token_back",
    ],
    "refresh rotation with reuse detection.": [
        "auth/test_sessions::test_a_replaced_token_used_later_ends_the_whole_session_at_once",
        "auth/test_sessions::test_a_retry_within_ten_seconds_gets_what_the_lost_answer_held",
    ],
    "Brute force: sliding windows per address and per account, with growing delay.": [
        "auth/test_rate_limits::test_sign_ins_are_counted_by_address_before_anything_is_looked_up",
        "auth/test_attempts::test_a_wait_doubles_with_each_try_after_five",
        "auth/test_attempts::test_known_and_unknown_accounts_are_slowed_down_alike",
    ],
    "Service keys: 256-bit, hashed with SHA-256, looked up by id, compared in constant time;": [
        "auth/test_service_keys::test_a_key_has_256_bits_of_which_only_a_hash_is_stored",
        "auth/test_service_keys::test_an_unknown_id_costs_the_same_comparisons",
        "auth/test_service_keys::test_nothing_but_the_key_is_the_key",
    ],
    "a key acts only for tenants that it brought or whose owner linked it, and the audit names both who acted and for whom.": [
        "auth/test_telegram::test_a_bot_does_not_reach_a_tenant_of_somebody_else",
        "auth/test_telegram::test_a_bot_that_the_owner_linked_reaches_the_tenant_and_one_that_was_unlinked_does_not",
        "auth/test_telegram::test_the_log_names_who_acted_and_for_whom",
    ],
    "Telegram Mini App data: signature, age, single use.": [
        "auth/test_init_data::test_only_telegram_signs",
        "auth/test_init_data::test_more_than_an_hour_is_too_old_and_the_future_is_not_yet",
        "auth/test_telegram::test_launch_data_works_once_however_it_is_spelt_and_however_many_try_at_once",
    ],
    # Input
    "Strict schemas with bounds on every string, list and number;": [
        "api/openapi/test_omissions::test_whatever_could_be_of_any_size_is_named",
        "api/test_bodies::test_an_unknown_field_is_named",
        "security/test_every_operation::test_no_operation_answers_what_the_document_does_not_know",
    ],
    "bodies at most 1 MB (64 kB on auth); JSON depth bounded;": [
        "api/test_bodies::test_a_body_over_1_mb_is_413",
        "auth/test_controllers::test_a_body_for_a_sign_in_has_64_kilobytes_at_most",
        "api/test_bodies::test_a_body_may_be_as_deep_as_allowed_and_no_deeper",
        "cli/test_connections::test_a_head_without_an_end_is_refused",
        "cli/test_connections::test_what_never_comes_to_an_end_is_closed_in_time",
    ],
    "NUL characters and lone surrogates give 422, not a database error;": [
        "api/test_bodies::test_nul_and_lone_surrogates_are_refused_wherever_they_stand",
        "api/test_parameters::test_a_nul_character_is_named",
    ],
    "huge integers, NaN, duplicate keys, wrong content types and encodings give a problem document.": [
        "api/test_bodies::test_what_is_no_json_is_malformed",
        "api/test_bodies::test_a_field_given_twice_is_named_however_it_is_spelt",
        "api/test_bodies::test_another_type_charset_or_encoding_is_415",
    ],
    "Marketplace answers are input too: bounded, typed, and a malformed one fails its stage with a clear error and keeps what was there.": [
        "sync/faults/test_odd_answers::test_one_malformed_item_is_counted_with_its_reason_and_costs_no_other",
        "sync/faults/test_odd_answers::test_a_catalogue_that_is_empty_at_once_is_not_believed",
        "marketplaces/wildberries/test_cards::test_an_answer_of_another_shape_is_unexpected_and_not_asked_for_again",
    ],
    # Headers and hosting
    "X-Content-Type-Options, Cache-Control: no-store on auth and credentials, HSTS behind TLS, no CORS unless configured, Server without versions.": [
        "api/test_headers::test_every_answer_has_an_id_and_the_security_headers",
        "auth/test_controllers::test_no_answer_with_tokens_is_stored_by_a_cache",
        "api/test_headers::test_behind_tls_browsers_are_told_to_stay_there",
        "security/test_hosting::test_no_other_site_may_read_an_answer",
        "cli/test_serve::test_two_processes_serve_one_port_with_bounded_heads_and_stop_when_they_are_told",
    ],
    "The container runs as a non-root user with a read-only file system.": [
        "test_deployment::test_containers_are_not_root_and_cannot_write"
    ],
    "/metrics and the operators' pages are not on the public address.": [
        "security/test_hosting::test_what_is_the_operators_is_not_served_to_callers"
    ],
    # Audit
    "audit_log: who (user or service key), what, when, from where, request id:": [
        "security/test_audit_log::test_the_newest_deeds_come_first_with_who_what_when_and_from_where"
    ],
    "registration, sign-ins and failures, credential changes, secret rotations, user changes, erasures, replays.": [
        "security/test_audited_deeds::test_each_deed_of_the_code_is_in_the_table_and_each_of_the_table_in_the_code",
        "auth/test_controllers::test_the_log_tells_who_came_from_where",
        "auth/test_service_keys::test_all_that_is_done_to_a_key_is_logged_for_no_tenant",
    ],
    "Owners read theirs at GET /tenants/me/audit-log; rows can't be changed by the application's role.": [
        "security/test_audit_log::test_deeds_of_operators_and_of_the_service_itself_are_shown_and_what_concerns_no_tenant_is_not",
        f"{WALLS}::test_the_audit_log_only_grows_and_goes_with_its_tenant",
    ],
}


@cache
def found_in(module: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("line", LINES)
def test_the_line_is_held_by_tests(line: str):
    for proof in LINES[line]:
        module, _, name = proof.partition("::")
        assert name in found_in(module), f"{proof} is gone; what would fail now if this were not so?"


@pytest.mark.skipif(not PAGE.exists(), reason="the design is not beside this repository")
def test_no_line_of_the_page_is_left_out():
    sections = re.sub(r"^#.*$", "", PAGE.read_text().partition("## Promise")[0], flags=re.MULTILINE)
    rest = " ".join(re.sub(r"[*`]|^\s*(?:\d\.|-)\s", "", sections, flags=re.MULTILINE).split())

    for line in LINES:
        assert line in rest, f"the page does not say: {line}"
        rest = rest.replace(line, "", 1)

    assert rest.split() == []
