"""Alerts in the three ways in which Twilio gives them: REST list, Debugger webhook, Event Streams error log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.collect.simulate.formats import HOST
from flexkit.collect.simulate.template import column, compact, encoded, form, instant, number, optional, text

if TYPE_CHECKING:
    from flexkit.collect.simulate.identity import Identity


def rest(frame: pl.DataFrame, ids: Identity, *, style: str) -> pl.Series:
    """Alerts as ``GET /v1/Alerts`` lists them; *style* is how the text of an alert is written."""
    frame = _columns(frame)
    alert_text = {
        "form": form({"Msg": column("message_form"), "ErrorCode": column("code"), "LogLevel": "WARN"}),
        "plain": column("message"),
        "json": compact({"Msg": column("message"), "ErrorCode": column("code"), "LogLevel": "WARNING"}),
    }[style]
    phone = f"phonenumber={column('phone_form')}&ErrorCode={column('code')}&LogLevel=WARN&Msg={column('message_form')}"
    hook = f"Msg&ErrorCode={column('code')}&httpResponse=502&LogLevel=ERROR&url=https%3A%2F%2Fhooks.example.com%2Fflex"

    def record(said: str, *, url: str | None = None) -> pl.Expr:
        return text(
            {
                "account_sid": ids.account.account,
                "alert_text": said,
                "api_version": None,
                "date_created": column("created"),
                "date_generated": column("generated"),
                "date_updated": column("created"),
                "error_code": column("code"),
                "log_level": column("level"),
                "more_info": f"https://www.twilio.com/docs/errors/{column('code')}",
                "request_method": "POST" if url else None,
                "request_url": url,
                "resource_sid": optional("resource_sid"),
                "service_sid": optional("service_sid"),
                "sid": column("alert_sid"),
                "url": f"https://monitor.twilio.com/v1/Alerts/{column('alert_sid')}",
            }
        )

    # A request that failed is logged with its whole address, user and query included.
    address = "https://flex:not-a-secret@hooks.example.com/flex?From=%2B12025550199&Body=hello"
    return frame.select(
        pl.when(pl.col("code") == "11200")
        .then(record(hook, url=address))
        .when(pl.col("phone").is_not_null())
        .then(record(phone))
        .otherwise(record(alert_text))
        .alias("record")
    ).to_series()


def debugger_webhook(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """Alerts as a Debugger webhook receives them."""
    frame = _columns(frame)
    payload = {
        "resource_sid": number("resource_form"),
        "service_sid": number("service_form"),
        "error_code": column("code"),
        "more_info": {"Msg": column("message_form"), "ErrorCode": column("code"), "LogLevel": column("loud")},
    }
    fields = {
        "Sid": column("alert_sid"),
        "AccountSid": ids.account.account,
        "ParentAccountSid": "",
        "Timestamp": column("generated_form"),
        "Level": column("loud"),
        "PayloadType": "application/json",
        "Payload": compact(payload),
    }
    delivery = {
        "received_at": column("received"),
        "method": "POST",
        "url": f"{HOST}/debugger",
        "headers": {
            "content-type": "application/x-www-form-urlencoded",
            "i-twilio-idempotency-token": column("token"),
            "user-agent": "TwilioProxy/1.1",
        },
        "body": form(fields),
    }
    return frame.select(text(delivery).alias("record")).to_series()


def error_stream(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """Alerts as Event Streams sends them (``com.twilio.error-logs.error.logged``), with the product's name."""
    frame = _columns(frame)
    payload = {"resource_sid": number("resource_json"), "error_code": column("code"), "more_info": column("message")}
    record = {
        "specversion": "1.0",
        "type": "com.twilio.error-logs.error.logged",
        "source": f"/v1/Accounts/{ids.account.account}/ErrorLogs",
        "id": column("alert_sid"),
        "time": column("generated"),
        "datacontenttype": "application/json",
        "dataschema": "https://events-schemas.twilio.com/ErrorLogs.Error/2",
        "data": {
            "sid": column("alert_sid"),
            "account_sid": ids.account.account,
            "date_created": column("generated"),
            "level": column("loud"),
            "service_sid": optional("service_sid"),
            "product_name": column("product"),
            "error_code": column("code"),
            "payload": compact(payload),
        },
    }
    return frame.select(text(record).alias("record")).to_series()


def _columns(frame: pl.DataFrame) -> pl.DataFrame:
    def quoted(name: str, mark: str) -> pl.Expr:
        return (pl.lit(mark) + pl.col(name) + pl.lit(mark)).fill_null("null")

    return frame.with_columns(
        created_us=pl.col("at_us") + pl.col("lag_us"),
        received_us=pl.col("at_us") + pl.col("lag_us").clip(0, 20_000_000) + 1_250_000,
    ).with_columns(
        generated=instant("at_us", fraction=False),
        generated_form=encoded(instant("at_us", fraction=False)),
        created=instant("created_us", fraction=False),
        received=instant("received_us"),
        loud=pl.col("level").str.to_uppercase(),
        message_form=encoded(pl.col("message")),
        phone_form=encoded(pl.col("phone")),
        resource_form=quoted("resource_sid", "%22"),
        service_form=quoted("service_sid", "%22"),
        resource_json=quoted("resource_sid", '\\"'),
    )  # fmt: skip
