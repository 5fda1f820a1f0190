//! hello_actor in Zig: a turnstile, from launch to the last dead letter.

const std = @import("std");
const c = @import("c"); // hello_actor.h, translated by `zig translate-c`

const second = std.time.ns_per_s;

const Failure = error{ Ringkernel, UnexpectedReply };

/// A Zig error carries no text: the library's goes to stderr.
fn check(status: c.rk_status, detail: ?*const c.rk_error) Failure!void {
    if (status == c.RK_OK) return;
    const text = if (status < 0 and detail != null) std.mem.sliceTo(&detail.?.message, 0) else "";
    std.debug.print("hello_actor: {s} {s}\n", .{ std.mem.span(c.rk_status_name(status)), text });
    return error.Ringkernel;
}

// RK_MESSAGE declares a struct and, beside it, its number and its size: all three go by the message's name.
fn typeOf(comptime message: []const u8) u32 {
    return @field(c, message ++ "_rk_type");
}
fn sizeOf(comptime message: []const u8) u32 {
    return @field(c, message ++ "_rk_size");
}

fn send(to: c.rk_actor, comptime message: []const u8, payload: @field(c, message), deadline_ns: u64) Failure!void {
    var options: c.rk_send_options = .{ .struct_size = @sizeOf(c.rk_send_options), .deadline_ns = deadline_ns };
    options.timeout_ns = second; // for room in the ring
    try check(c.rk_send(to, typeOf(message), &payload, sizeOf(message), &options), null);
}

fn call(
    to: c.rk_actor,
    comptime question: []const u8,
    payload: @field(c, question),
    comptime answer: []const u8,
) Failure!@field(c, answer) {
    var reply: @field(c, answer) = undefined;
    var received: c.rk_message = undefined;
    var detail: c.rk_error = undefined;
    try check(c.rk_call(to, typeOf(question), &payload, sizeOf(question), null, &reply, sizeOf(answer), &received, //
        10 * second, &detail), &detail);
    if (received.type != typeOf(answer) or received.size != sizeOf(answer)) return error.UnexpectedReply;
    return reply;
}

/// The payload, where the message is of that type. It points into the buffer that rk_poll() filled.
fn payloadOf(comptime name: []const u8, message: c.rk_message) ?*const @field(c, name) {
    if (message.type != typeOf(name) or message.size != sizeOf(name)) return null;
    return @ptrCast(@alignCast(message.payload.?));
}

fn statistics(kernel: c.rk_kernel) Failure!c.rk_kernel_statistics {
    var result: c.rk_kernel_statistics = .{ .struct_size = @sizeOf(c.rk_kernel_statistics) };
    var detail: c.rk_error = undefined;
    try check(c.rk_kernel_stats(kernel, &result, &detail), &detail);
    return result;
}

fn printOutcome(out: *std.Io.Writer, when: []const u8, outcome: c.outcome) !void {
    try out.print("{s:<10} {s}, {d} cents, {d} visitor(s), {d} refused\n", .{
        when,
        if (outcome.unlocked != 0) "unlocked" else "locked",
        outcome.cents,
        outcome.visitors,
        outcome.refused,
    });
}

fn helloActor(out: *std.Io.Writer) !void {
    var detail: c.rk_error = undefined;
    var runtime: c.rk_runtime = undefined;
    try check(c.rk_runtime_create(c.RK_VERSION, null, &runtime, &detail), &detail);
    defer _ = c.rk_runtime_destroy(runtime); // with the module and the kernel in it
    var module: c.rk_module = undefined;
    try check(c.rk_module_create(runtime, &c.turnstiles, &module, &detail), &detail);
    var kernel: c.rk_kernel = undefined;
    try check(c.rk_kernel_launch(runtime, module, null, 0, null, &kernel, &detail), &detail);
    var turnstile: c.rk_actor = undefined;
    try check(c.rk_kernel_actor(kernel, 0, &turnstile), null);

    try check(c.rk_kernel_activate(kernel, &detail), &detail);
    try printOutcome(out, "active:", try call(turnstile, "coin", .{ .cents = 200 }, "outcome"));
    try printOutcome(out, "active:", try call(turnstile, "push", .{}, "outcome"));
    try printOutcome(out, "active:", try call(turnstile, "push", .{}, "outcome"));

    // A suspended kernel accepts messages, which wait. The last one has a deadline that it will miss.
    try check(c.rk_kernel_deactivate(kernel, &detail), &detail);
    try send(turnstile, "push", .{}, 0);
    try send(turnstile, "coin", .{ .cents = 150 }, 0);
    try send(turnstile, "coin", .{ .cents = 50 }, 1);
    try out.print("suspended: {d} messages wait\n", .{(try statistics(kernel)).pending});

    // Replies come to the runtime's queue, and what missed its deadline comes back: nothing is lost silently.
    try check(c.rk_kernel_activate(kernel, &detail), &detail);
    var messages: [8]c.rk_message = undefined;
    var payloads: [1024]u8 align(16) = undefined;
    var expired: u32 = 0;
    var answered: u32 = 0;
    while (answered < 2 or expired == 0) {
        var count: u32 = 0;
        try check(c.rk_poll(runtime, &messages, messages.len, &payloads, payloads.len, 10 * second, &count), null);
        for (messages[0..count]) |message| {
            if (message.kind == c.RK_MESSAGE_REPLY) {
                const outcome = payloadOf("outcome", message) orelse return error.UnexpectedReply;
                try printOutcome(out, "resumed:", outcome.*);
                answered += 1;
            } else if (message.kind == c.RK_MESSAGE_DEAD_LETTER and message.reason == c.RK_DEAD_EXPIRED) {
                const coin = payloadOf("coin", message) orelse return error.UnexpectedReply;
                expired += coin.cents;
            }
        }
    }
    try out.print("expired:   a coin of {d} cents came back\n", .{expired});

    try check(c.rk_kernel_drain(kernel, 10 * second, &detail), &detail);
    const s = try statistics(kernel);
    try out.print("drained:   accepted {d} = handled {d} + dead letters {d} + pending {d}\n", .{
        s.accepted, s.handled, s.dead_letters, s.pending,
    });
}

pub fn main(init: std.process.Init) !void {
    var buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writer(init.io, &buffer);
    try helloActor(&stdout.interface);
    try stdout.interface.flush();
}
