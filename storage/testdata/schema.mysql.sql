CREATE TABLE `alerts` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `region_id` bigint NOT NULL,
  `device_id` bigint NOT NULL,
  `chat_id` bigint NOT NULL,
  `waiting_since` bigint NOT NULL,
  `alert_key` varchar(64) NOT NULL,
  `channels` mediumtext NOT NULL,
  `created_at` bigint NOT NULL,
  `due` bigint DEFAULT NULL,
  `attempts` bigint NOT NULL,
  `claim_id` varchar(64) NOT NULL,
  `claimed_until` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `alerts_wait` (`device_id`,`waiting_since`),
  KEY `alerts_due` (`due`),
  KEY `alerts_region` (`region_id`,`id`),
  KEY `alerts_age` (`created_at`),
  CONSTRAINT `alerts_region_id` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `api_tokens` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `token_hash` binary(32) NOT NULL,
  `name` varchar(200) NOT NULL,
  `scopes` varchar(500) NOT NULL,
  `regions` text NOT NULL,
  `created_at` bigint NOT NULL,
  `expires` bigint NOT NULL,
  `used_at` bigint NOT NULL,
  `revoked_at` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `api_tokens_hash` (`token_hash`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `articles` (
  `desk_id` bigint NOT NULL,
  `article_id` bigint NOT NULL,
  `ticket_id` bigint NOT NULL,
  `chat_id` bigint NOT NULL,
  `message_id` bigint DEFAULT NULL,
  `visible` tinyint NOT NULL,
  `barred` tinyint NOT NULL,
  PRIMARY KEY (`desk_id`,`article_id`),
  KEY `articles_chat` (`chat_id`),
  KEY `articles_message` (`message_id`),
  CONSTRAINT `articles_of_chat` FOREIGN KEY (`chat_id`) REFERENCES `chats` (`id`),
  CONSTRAINT `articles_of_message` FOREIGN KEY (`message_id`) REFERENCES `messages` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `attachments` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `public_id` varbinary(64) NOT NULL,
  `message_id` bigint NOT NULL,
  `place` bigint NOT NULL,
  `name` varchar(300) NOT NULL,
  `media_type` varchar(200) NOT NULL,
  `size` bigint NOT NULL,
  `in_text` tinyint NOT NULL,
  `digest` binary(32) DEFAULT NULL,
  `content_id` bigint DEFAULT NULL,
  `desk_file` bigint NOT NULL,
  `article_id` bigint NOT NULL,
  `known_at` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `attachments_public` (`public_id`),
  UNIQUE KEY `attachments_content_once` (`content_id`),
  KEY `attachments_message` (`message_id`),
  CONSTRAINT `attachments_content` FOREIGN KEY (`content_id`) REFERENCES `contents` (`id`),
  CONSTRAINT `attachments_of_message` FOREIGN KEY (`message_id`) REFERENCES `messages` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `audit` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `at` bigint NOT NULL,
  `actor_kind` varchar(20) NOT NULL,
  `actor_id` bigint NOT NULL,
  `actor_name` varchar(200) NOT NULL,
  `region_id` bigint NOT NULL,
  `action` varchar(50) NOT NULL,
  `subject` varchar(500) NOT NULL,
  `changes` mediumtext NOT NULL,
  PRIMARY KEY (`id`),
  KEY `audit_region` (`region_id`,`id`),
  KEY `audit_age` (`at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `author_messages` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `room_id` bigint NOT NULL,
  `seq` bigint NOT NULL,
  `author_id` bigint NOT NULL,
  `author_name` varchar(200) NOT NULL,
  `client_key` varchar(200) DEFAULT NULL,
  `text` text NOT NULL,
  `created_at` bigint NOT NULL,
  `deleted` tinyint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `author_messages_key` (`room_id`,`author_id`,`client_key`),
  KEY `author_messages_seq` (`room_id`,`seq`),
  KEY `author_messages_author` (`author_id`),
  KEY `author_messages_age` (`created_at`),
  CONSTRAINT `author_messages_author` FOREIGN KEY (`author_id`) REFERENCES `staff` (`id`),
  CONSTRAINT `author_messages_room` FOREIGN KEY (`room_id`) REFERENCES `author_rooms` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `author_reads` (
  `room_id` bigint NOT NULL,
  `person_id` bigint NOT NULL,
  `seq` bigint NOT NULL,
  PRIMARY KEY (`room_id`,`person_id`),
  KEY `author_reads_person` (`person_id`),
  CONSTRAINT `author_reads_person` FOREIGN KEY (`person_id`) REFERENCES `staff` (`id`) ON DELETE CASCADE,
  CONSTRAINT `author_reads_room` FOREIGN KEY (`room_id`) REFERENCES `author_rooms` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `author_rooms` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `kind` varchar(20) NOT NULL,
  `region_id` bigint NOT NULL,
  `first_id` bigint NOT NULL,
  `second_id` bigint NOT NULL,
  `seq` bigint NOT NULL,
  `pruned_seq` bigint NOT NULL,
  `changed_at` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `author_rooms_whose` (`kind`,`region_id`,`first_id`,`second_id`),
  KEY `author_rooms_first` (`first_id`),
  KEY `author_rooms_second` (`second_id`),
  KEY `author_rooms_changed` (`changed_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `chats` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `region_id` bigint NOT NULL,
  `device_id` bigint NOT NULL,
  `language` varchar(100) NOT NULL,
  `consent` tinyint DEFAULT NULL,
  `consent_at` bigint NOT NULL,
  `desk_id` bigint NOT NULL,
  `ticket_id` bigint DEFAULT NULL,
  `customer_id` bigint NOT NULL,
  `ticket_state` varchar(20) NOT NULL,
  `checked_at` bigint NOT NULL,
  `created_at` bigint NOT NULL,
  `last_message_at` bigint NOT NULL,
  `lane_due` bigint DEFAULT NULL,
  `claim_id` varchar(64) NOT NULL,
  `claimed_until` bigint NOT NULL,
  `state_at` bigint NOT NULL DEFAULT 0,
  `reopened` tinyint NOT NULL DEFAULT 0,
  `answered_at` bigint NOT NULL DEFAULT 0,
  `asked_at` bigint NOT NULL DEFAULT 0,
  `typed_at` bigint NOT NULL DEFAULT 0,
  `waiting_since` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `chats_ticket` (`desk_id`,`ticket_id`),
  KEY `chats_lane` (`desk_id`,`lane_due`),
  KEY `chats_device` (`device_id`),
  KEY `chats_age` (`region_id`,`last_message_at`),
  KEY `chats_opened` (`region_id`,`created_at`),
  KEY `chats_waiting` (`region_id`,`waiting_since`),
  CONSTRAINT `chats_of_device` FOREIGN KEY (`device_id`) REFERENCES `devices` (`id`),
  CONSTRAINT `chats_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `contents` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `created_at` bigint NOT NULL,
  PRIMARY KEY (`id`),
  KEY `contents_age` (`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `deliveries` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `region_id` bigint NOT NULL,
  `delivery_key` varbinary(500) NOT NULL,
  `body` longblob NOT NULL,
  `hint` tinyint NOT NULL,
  `claim_id` varchar(64) NOT NULL,
  `claimed_until` bigint NOT NULL,
  `due` bigint NOT NULL,
  `attempts` bigint NOT NULL,
  `outcome` varchar(40) NOT NULL,
  `reason` text NOT NULL,
  `received_at` bigint NOT NULL,
  `finished_at` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `deliveries_key` (`region_id`,`delivery_key`),
  KEY `deliveries_due` (`outcome`,`due`),
  KEY `deliveries_age` (`received_at`),
  KEY `deliveries_region` (`region_id`,`received_at`),
  KEY `deliveries_list` (`region_id`,`id`),
  CONSTRAINT `deliveries_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `desks` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `url` varchar(500) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `desks_url` (`url`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `devices` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `region_id` bigint NOT NULL,
  `device_hash` binary(32) NOT NULL,
  `alias` varchar(100) NOT NULL,
  `seq` bigint NOT NULL,
  `changed_at` bigint NOT NULL,
  `current_chat_id` bigint NOT NULL,
  `last_message_at` bigint NOT NULL,
  `opened_at` bigint NOT NULL,
  `pruned_seq` bigint NOT NULL DEFAULT 0,
  `read_seq` bigint NOT NULL DEFAULT 0,
  `token_hash` binary(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `devices_device` (`region_id`,`device_hash`),
  KEY `devices_changed` (`changed_at`),
  CONSTRAINT `devices_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `erasures` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `region_id` bigint NOT NULL,
  `receipt_hash` binary(32) NOT NULL,
  `desk_id` bigint NOT NULL,
  `rule` varchar(20) NOT NULL,
  `alias` varchar(100) NOT NULL,
  `neutral` varchar(100) NOT NULL,
  `traces` mediumtext NOT NULL,
  `settled_at` bigint NOT NULL,
  `erased_at` bigint NOT NULL,
  `due` bigint DEFAULT NULL,
  `claim_id` varchar(64) NOT NULL,
  `claimed_until` bigint NOT NULL,
  `attempts` bigint NOT NULL,
  `refusals` bigint NOT NULL,
  `reason` text NOT NULL,
  `finished_at` bigint DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `erasures_receipt` (`receipt_hash`),
  KEY `erasures_due` (`due`),
  KEY `erasures_age` (`finished_at`),
  KEY `erasures_region` (`region_id`),
  CONSTRAINT `erasures_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `exposures` (
  `region_id` bigint NOT NULL,
  `device_hash` binary(32) NOT NULL,
  `day` varchar(10) NOT NULL,
  `served` tinyint NOT NULL,
  `reason` varchar(40) NOT NULL,
  `told_at` bigint NOT NULL,
  `language` varchar(40) NOT NULL DEFAULT '',
  `app_version` varchar(40) NOT NULL DEFAULT '',
  `percentage` bigint DEFAULT NULL,
  PRIMARY KEY (`region_id`,`device_hash`,`day`),
  KEY `exposures_age` (`told_at`),
  KEY `exposures_told` (`region_id`,`told_at`,`served`,`reason`,`percentage`),
  CONSTRAINT `exposures_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `goose_db_version` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `version_id` bigint NOT NULL,
  `is_applied` tinyint NOT NULL,
  `tstamp` datetime DEFAULT current_timestamp(),
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `job_runs` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `job` varchar(200) NOT NULL,
  `instance` varchar(200) NOT NULL,
  `dry_run` tinyint NOT NULL,
  `started_at` bigint NOT NULL,
  `ended_at` bigint NOT NULL,
  `counts` text NOT NULL,
  `error` text NOT NULL,
  PRIMARY KEY (`id`),
  KEY `job_runs_age` (`started_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `leases` (
  `name` varchar(200) NOT NULL,
  `holder` varchar(200) NOT NULL,
  `held_until` bigint NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `marks` (
  `name` varchar(200) NOT NULL,
  `read_at` bigint NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `messages` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `device_id` bigint NOT NULL,
  `chat_id` bigint NOT NULL,
  `seq` bigint NOT NULL,
  `uuid` varbinary(64) NOT NULL,
  `author` varchar(20) NOT NULL,
  `name` text NOT NULL,
  `html` mediumtext NOT NULL,
  `text` mediumtext NOT NULL,
  `automatic` tinyint NOT NULL,
  `status` varchar(20) NOT NULL,
  `fail_code` varchar(100) NOT NULL,
  `client_key` varbinary(200) DEFAULT NULL,
  `created_at` bigint NOT NULL,
  `retracted` tinyint NOT NULL,
  `files` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `messages_uuid` (`uuid`),
  UNIQUE KEY `messages_key` (`device_id`,`client_key`),
  KEY `messages_seq` (`device_id`,`seq`),
  KEY `messages_chat` (`chat_id`,`status`),
  KEY `messages_story` (`chat_id`,`created_at`,`author`,`automatic`,`retracted`),
  CONSTRAINT `messages_of_chat` FOREIGN KEY (`chat_id`) REFERENCES `chats` (`id`),
  CONSTRAINT `messages_of_device` FOREIGN KEY (`device_id`) REFERENCES `devices` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `migration_lease` (
  `id` bigint NOT NULL,
  `holder` varchar(64) NOT NULL,
  `held_until` bigint NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `outbox` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `chat_id` bigint NOT NULL,
  `kind` varchar(20) NOT NULL,
  `message_id` bigint DEFAULT NULL,
  `previous` varchar(100) NOT NULL,
  `attempts` bigint NOT NULL,
  `started_at` bigint NOT NULL,
  `dead` tinyint NOT NULL,
  `reason` text NOT NULL,
  `error_id` varchar(200) NOT NULL,
  `created_at` bigint NOT NULL,
  `refusals` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  KEY `outbox_lane` (`chat_id`,`dead`),
  KEY `outbox_message` (`message_id`),
  KEY `outbox_kind` (`kind`,`chat_id`,`dead`,`created_at`),
  KEY `outbox_letters` (`dead`,`id`),
  CONSTRAINT `outbox_of_chat` FOREIGN KEY (`chat_id`) REFERENCES `chats` (`id`),
  CONSTRAINT `outbox_of_message` FOREIGN KEY (`message_id`) REFERENCES `messages` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `pieces` (
  `content_id` bigint NOT NULL,
  `place` bigint NOT NULL,
  `data` mediumblob NOT NULL,
  PRIMARY KEY (`content_id`,`place`),
  CONSTRAINT `pieces_of_content` FOREIGN KEY (`content_id`) REFERENCES `contents` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `regions` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `slug` varchar(200) NOT NULL,
  `name` varchar(500) NOT NULL,
  `enabled` tinyint NOT NULL,
  `version` bigint NOT NULL,
  `salt` varchar(200) NOT NULL,
  `desk_id` bigint NOT NULL,
  `settings` mediumtext NOT NULL,
  `zammad_token` text NOT NULL,
  `webhook_secret` text NOT NULL,
  `webhook_token` text NOT NULL,
  `updated_at` bigint NOT NULL,
  `seq_floor` bigint NOT NULL DEFAULT 0,
  `identity_secret` text NOT NULL,
  `privacy_token` text NOT NULL,
  `alert_secret` text NOT NULL,
  `alert_token` text NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `regions_slug` (`slug`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `sessions` (
  `token` varchar(64) NOT NULL,
  `data` blob NOT NULL,
  `expires` bigint NOT NULL,
  PRIMARY KEY (`token`),
  KEY `sessions_age` (`expires`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `staff` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `login` varchar(200) NOT NULL,
  `name` varchar(200) NOT NULL,
  `role` varchar(20) NOT NULL,
  `language` varchar(20) NOT NULL,
  `password` varchar(255) NOT NULL,
  `totp_secret` text NOT NULL,
  `totp_step` bigint NOT NULL,
  `subject` varchar(500) DEFAULT NULL,
  `disabled` tinyint NOT NULL,
  `epoch` bigint NOT NULL,
  `failures` bigint NOT NULL,
  `locked_until` bigint NOT NULL,
  `created_at` bigint NOT NULL,
  `signed_in_at` bigint NOT NULL,
  `signed_in_before` bigint NOT NULL DEFAULT 0,
  `password_at` bigint NOT NULL DEFAULT 0,
  `factor_at` bigint NOT NULL DEFAULT 0,
  `identity_at` bigint NOT NULL DEFAULT 0,
  `told_at` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `staff_login` (`login`),
  UNIQUE KEY `staff_subject` (`subject`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `staff_links` (
  `token_hash` binary(32) NOT NULL,
  `staff_id` bigint NOT NULL,
  `expires` bigint NOT NULL,
  PRIMARY KEY (`token_hash`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `staff_regions` (
  `staff_id` bigint NOT NULL,
  `region_id` bigint NOT NULL,
  PRIMARY KEY (`staff_id`,`region_id`),
  KEY `staff_regions_region` (`region_id`),
  CONSTRAINT `staff_regions_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`),
  CONSTRAINT `staff_regions_staff` FOREIGN KEY (`staff_id`) REFERENCES `staff` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `statistics` (
  `region_id` bigint NOT NULL,
  `hour` bigint NOT NULL,
  `invented` tinyint NOT NULL,
  `chats_opened` bigint NOT NULL,
  `messages_user` bigint NOT NULL,
  `messages_agent` bigint NOT NULL,
  `failed` bigint NOT NULL,
  `answered` bigint NOT NULL,
  `answer_times` varchar(1000) NOT NULL,
  `asked_served` bigint NOT NULL,
  `asked_unserved` bigint NOT NULL,
  PRIMARY KEY (`region_id`,`hour`,`invented`),
  CONSTRAINT `statistics_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `tallies` (
  `region_id` bigint NOT NULL,
  `hour` bigint NOT NULL,
  `message_id` bigint NOT NULL,
  PRIMARY KEY (`region_id`),
  CONSTRAINT `tallies_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE `testers` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `region_id` bigint NOT NULL,
  `device_hash` binary(32) NOT NULL,
  `override` varchar(20) NOT NULL,
  `set_at` bigint NOT NULL,
  `set_by` varchar(200) NOT NULL DEFAULT '',
  `expires_at` bigint DEFAULT NULL,
  `note` varchar(200) NOT NULL DEFAULT '',
  PRIMARY KEY (`region_id`,`device_hash`),
  UNIQUE KEY `testers_id` (`id`),
  KEY `testers_list` (`region_id`,`id`),
  KEY `testers_age` (`expires_at`),
  CONSTRAINT `testers_region` FOREIGN KEY (`region_id`) REFERENCES `regions` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
