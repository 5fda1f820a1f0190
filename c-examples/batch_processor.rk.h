/* Three stages of a pipeline over daily weather records: parsers turn lines into readings, one aggregator for each
 * station sums them up, the reporter sees all stations and compares them. Temperatures and rain are in tenths.
 *
 * Messages of one actor to another arrive in order. So a parser's end_of_input, sent to every aggregator after its last
 * reading, is all that an aggregator needs to know that this parser has nothing more.
 *
 * Launched with one lane: none of this is work that lanes could share. */
#include <ringkernel/actor.h>

#define STATIONS_MAX 64
#define LINE_MAX_BYTES 56

#define REASON_MALFORMED 1u
#define REASON_IMPOSSIBLE 2u

/* To the stages before the first line: where to send, how many there are. Answered with ready. */
RK_MESSAGE(connect_parser, 1, rk_u32 stations; rk_address aggregators[STATIONS_MAX];)
RK_MESSAGE(connect_aggregator, 2, rk_u32 parsers; rk_address reporter;)
RK_MESSAGE(connect_reporter, 3, rk_u32 stations;)
RK_SIGNAL(ready, 4)

RK_MESSAGE(line, 5, rk_u32 number; rk_u32 bytes; rk_u8 text[LINE_MAX_BYTES];)
RK_MESSAGE(rejected, 6, rk_u32 number; rk_u32 reason;)
RK_MESSAGE(reading, 7, rk_u32 date; rk_i32 low; rk_i32 high; rk_i32 rain;)
RK_SIGNAL(end_of_input, 8)
RK_MESSAGE(summary, 9,
    rk_u32 station;
    rk_u32 days;
    rk_i32 coldest;
    rk_u32 coldest_date;
    rk_i32 warmest;
    rk_u32 warmest_date;
    rk_i32 rain;
    rk_i32 temperature;) /* sum of low + high over the days */
/* Mean temperature in hundredths, and how far it is from that of all stations. */
RK_MESSAGE(report, 10,
    rk_u32 station;
    rk_u32 days;
    rk_i32 coldest;
    rk_u32 coldest_date;
    rk_i32 warmest;
    rk_u32 warmest_date;
    rk_i32 rain;
    rk_i32 mean;
    rk_i32 anomaly;)
RK_SIGNAL(end_of_report, 11)

/* ---- Parser: "7,2024-02-29,-3.4,5.0,12.6" ---- */

RK_STATE(parser, rk_u32 stations; rk_address aggregators[STATIONS_MAX];)

RK_SCRATCH(parser, rk_u32 bytes; rk_u32 at; rk_u32 malformed; rk_u8 text[LINE_MAX_BYTES];)

#define MINUS 45u
#define POINT 46u
#define COMMA 44u

RK_FUNC rk_u32 next_is(RK_PARAMS(parser), rk_u32 low, rk_u32 high) {
    if (rk_scratch(parser).at >= rk_scratch(parser).bytes) {
        return 0u;
    }
    rk_u32 character = rk_u32(rk_scratch(parser).text[rk_scratch(parser).at]);
    return character >= low && character <= high ? 1u : 0u;
}

RK_FUNC void expect(RK_PARAMS(parser), rk_u32 character) {
    if (next_is(RK_ARGS, character, character) == 1u) {
        rk_scratch(parser).at += 1u;
    } else {
        rk_scratch(parser).malformed = 1u;
    }
}

/* Between `fewest` and `most` digits. */
RK_FUNC rk_u32 parse_digits(RK_PARAMS(parser), rk_u32 fewest, rk_u32 most) {
    rk_u32 value = 0u;
    rk_u32 count = 0u;
    while (count < most && next_is(RK_ARGS, 48u, 57u) == 1u) {
        value = value * 10u + rk_u32(rk_scratch(parser).text[rk_scratch(parser).at]) - 48u;
        rk_scratch(parser).at += 1u;
        count += 1u;
    }
    if (count < fewest) {
        rk_scratch(parser).malformed = 1u;
    }
    return value;
}

/* One decimal, in tenths. */
RK_FUNC rk_i32 parse_decimal(RK_PARAMS(parser)) {
    rk_i32 sign = 1;
    if (next_is(RK_ARGS, MINUS, MINUS) == 1u) {
        rk_scratch(parser).at += 1u;
        sign = -1;
    }
    rk_u32 whole = parse_digits(RK_ARGS, 1u, 4u);
    expect(RK_ARGS, POINT);
    return sign * rk_i32(whole * 10u + parse_digits(RK_ARGS, 1u, 1u));
}

RK_ON(parser, connect_parser) {
    rk_state.stations = rk_msg.stations;
    for (rk_u32 i = 0u; i < rk_msg.stations; i += 1u) {
        rk_state.aggregators[i] = rk_msg.aggregators[i];
    }
    rk_reply(ready);
}

RK_ON(parser, line) {
    rk_scratch(parser).bytes = rk_msg.bytes;
    rk_scratch(parser).at = 0u;
    rk_scratch(parser).malformed = 0u;
    for (rk_u32 i = 0u; i < rk_msg.bytes; i += 1u) {
        rk_scratch(parser).text[i] = rk_msg.text[i];
    }

    rk_u32 station = parse_digits(RK_ARGS, 1u, 2u);
    expect(RK_ARGS, COMMA);
    rk_u32 year = parse_digits(RK_ARGS, 4u, 4u);
    expect(RK_ARGS, MINUS);
    rk_u32 month = parse_digits(RK_ARGS, 2u, 2u);
    expect(RK_ARGS, MINUS);
    rk_u32 day = parse_digits(RK_ARGS, 2u, 2u);
    expect(RK_ARGS, COMMA);
    rk_i32 low = parse_decimal(RK_ARGS);
    expect(RK_ARGS, COMMA);
    rk_i32 high = parse_decimal(RK_ARGS);
    expect(RK_ARGS, COMMA);
    rk_i32 rain = parse_decimal(RK_ARGS);

    rk_u32 reason = 0u;
    if (rk_scratch(parser).malformed != 0u || rk_scratch(parser).at != rk_scratch(parser).bytes) {
        reason = REASON_MALFORMED;
    } else if (station < 1u || station > rk_state.stations || month < 1u || month > 12u || day < 1u || day > 31u ||
               low < -900 || high > 600 || low > high || rain < 0) {
        reason = REASON_IMPOSSIBLE;
    }

    if (reason != 0u) {
        RK_OUT(rejected).number = rk_msg.number;
        RK_OUT(rejected).reason = reason;
        rk_emit(rejected);
    } else {
        RK_OUT(reading).date = (year * 100u + month) * 100u + day;
        RK_OUT(reading).low = low;
        RK_OUT(reading).high = high;
        RK_OUT(reading).rain = rain;
        rk_tell(rk_state.aggregators[station - 1u], reading);
    }
}

RK_ON(parser, end_of_input) {
    for (rk_u32 i = 0u; i < rk_state.stations; i += 1u) {
        rk_tell(rk_state.aggregators[i], end_of_input);
    }
}

RK_ACTOR(parser, RK_HANDLES(parser, connect_parser) RK_HANDLES(parser, line) RK_HANDLES(parser, end_of_input))

/* ---- Aggregator: actor i has station i + 1 ---- */

RK_STATE(aggregator,
    rk_address reporter;
    rk_u32 parsers;
    rk_u32 days;
    rk_i32 coldest;
    rk_u32 coldest_date;
    rk_i32 warmest;
    rk_u32 warmest_date;
    rk_i32 rain;
    rk_i32 temperature;)

RK_ON(aggregator, connect_aggregator) {
    rk_state.reporter = rk_msg.reporter;
    rk_state.parsers = rk_msg.parsers;
    rk_reply(ready);
}

/* Readings of one day may come in any order, for they come from several parsers: of equal extremes, the first day's. */
RK_ON(aggregator, reading) {
    if (rk_state.days == 0u || rk_msg.low < rk_state.coldest ||
        (rk_msg.low == rk_state.coldest && rk_msg.date < rk_state.coldest_date)) {
        rk_state.coldest = rk_msg.low;
        rk_state.coldest_date = rk_msg.date;
    }
    if (rk_state.days == 0u || rk_msg.high > rk_state.warmest ||
        (rk_msg.high == rk_state.warmest && rk_msg.date < rk_state.warmest_date)) {
        rk_state.warmest = rk_msg.high;
        rk_state.warmest_date = rk_msg.date;
    }
    rk_state.rain += rk_msg.rain;
    rk_state.temperature += rk_msg.low + rk_msg.high;
    rk_state.days += 1u;
}

RK_ON(aggregator, end_of_input) {
    rk_state.parsers -= 1u;
    if (rk_state.parsers == 0u) {
        RK_OUT(summary).station = rk_index() + 1u;
        RK_OUT(summary).days = rk_state.days;
        RK_OUT(summary).coldest = rk_state.coldest;
        RK_OUT(summary).coldest_date = rk_state.coldest_date;
        RK_OUT(summary).warmest = rk_state.warmest;
        RK_OUT(summary).warmest_date = rk_state.warmest_date;
        RK_OUT(summary).rain = rk_state.rain;
        RK_OUT(summary).temperature = rk_state.temperature;
        rk_tell(rk_state.reporter, summary);
    }
}

RK_ACTOR(aggregator,
    RK_HANDLES(aggregator, connect_aggregator) RK_HANDLES(aggregator, reading) RK_HANDLES(aggregator, end_of_input))

/* ---- Reporter: one actor ---- */

RK_STATE(reporter,
    rk_u32 stations;
    rk_u32 summaries;
    rk_u32 days[STATIONS_MAX];
    rk_i32 coldest[STATIONS_MAX];
    rk_u32 coldest_date[STATIONS_MAX];
    rk_i32 warmest[STATIONS_MAX];
    rk_u32 warmest_date[STATIONS_MAX];
    rk_i32 rain[STATIONS_MAX];
    rk_i32 temperature[STATIONS_MAX];)

/* `temperature` is twice the sum of the daily means in tenths: five times it is their sum in hundredths. */
RK_FUNC rk_i32 mean_temperature(rk_i64 temperature, rk_u32 days) {
    return rk_i32(temperature * rk_i64(5) / rk_i64(days));
}

RK_ON(reporter, connect_reporter) {
    rk_state.stations = rk_msg.stations;
    rk_reply(ready);
}

RK_ON(reporter, summary) {
    rk_u32 row = rk_msg.station - 1u;
    rk_state.days[row] = rk_msg.days;
    rk_state.coldest[row] = rk_msg.coldest;
    rk_state.coldest_date[row] = rk_msg.coldest_date;
    rk_state.warmest[row] = rk_msg.warmest;
    rk_state.warmest_date[row] = rk_msg.warmest_date;
    rk_state.rain[row] = rk_msg.rain;
    rk_state.temperature[row] = rk_msg.temperature;
    rk_state.summaries += 1u;
    if (rk_state.summaries < rk_state.stations) {
        return;
    }

    rk_i64 temperature = rk_i64(0);
    rk_u32 days = 0u;
    for (rk_u32 i = 0u; i < rk_state.stations; i += 1u) {
        temperature += rk_i64(rk_state.temperature[i]);
        days += rk_state.days[i];
    }
    for (rk_u32 i = 0u; i < rk_state.stations; i += 1u) {
        if (rk_state.days[i] > 0u) {
            rk_i32 mean = mean_temperature(rk_i64(rk_state.temperature[i]), rk_state.days[i]);
            RK_OUT(report).station = i + 1u;
            RK_OUT(report).days = rk_state.days[i];
            RK_OUT(report).coldest = rk_state.coldest[i];
            RK_OUT(report).coldest_date = rk_state.coldest_date[i];
            RK_OUT(report).warmest = rk_state.warmest[i];
            RK_OUT(report).warmest_date = rk_state.warmest_date[i];
            RK_OUT(report).rain = rk_state.rain[i];
            RK_OUT(report).mean = mean;
            RK_OUT(report).anomaly = mean - mean_temperature(temperature, days);
            rk_emit(report);
        }
    }
    rk_emit(end_of_report);
}

RK_ACTOR(reporter, RK_HANDLES(reporter, connect_reporter) RK_HANDLES(reporter, summary))
