"""Evidence in: from Twilio's API, from files a user holds, from the simulator."""
