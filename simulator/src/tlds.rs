//! Top-level domains that an e-mail address may have.
//!
//! Two letters are taken for a country. Of the generic ones the common are listed; HubSpot knows
//! all that are registered, so a rare one may be refused here and taken there.

const GENERIC: &str = " academy accountant accountants actor adult aero africa agency airforce amsterdam apartments app \
archi army art asia associates attorney auction audio auto autos baby band bank bar barcelona bargains basketball bayern \
beauty beer berlin best bet bible bid bike bingo bio biz black blog blue boats boston boutique broker build builders business \
buzz cab cafe cam camera camp capital car cards care career careers cars casa cash casino cat catering center ceo charity chat \
cheap christmas church city claims cleaning click clinic clothing cloud club coach codes coffee college cologne com community \
company computer condos construction consulting contact contractors cooking cool coop country coupons courses credit creditcard \
cricket cruises dance data date dating day deals degree delivery democrat dental dentist desi design dev diamonds diet digital \
direct directory discount doctor dog domains download earth eco edu education email energy engineer engineering enterprises \
equipment esq estate eus events exchange expert exposed express fail faith family fan fans farm fashion feedback film finance \
financial fish fit fitness flights florist flowers fm foo food football forex forsale forum foundation frl fun fund furniture fyi \
gallery game games garden gay gent gift gifts gives glass global gmbh gold golf google gov graphics gratis green gripe group guide \
guru hair hamburg haus health healthcare help hiphop hockey holdings holiday homes horse hospital host hosting house how immo \
industries info ink institute insurance insure int international investments irish jetzt jewelry jobs joburg juegos kaufen kids \
kim kitchen kiwi koeln land lat law lawyer lease legal lgbt life lighting limited limo link live llc loan loans lol london lotto \
love ltd luxe luxury madrid maison management market marketing markets mba media melbourne memorial men menu miami mil mobi moda \
mom money monster mortgage motorcycles movie museum music name navy net network new news ngo ninja nrw nyc observer one onl online \
org organic page paris partners parts party pet pharmacy phd photo photography photos physio pics pictures pink pizza place \
plumbing plus poker porn post press pro productions prof promo properties property protection pub qpon quebec racing realestate \
realtor recipes red rehab reise reisen rent rentals repair report republican rest restaurant review reviews rich rip rocks rodeo \
rugby ruhr run saarland sale salon school schule science scot security services sex sexy shiksha shoes shop shopping show singles \
site ski skin soccer social software solar solutions soy space sport store stream studio study style sucks supplies supply support \
surf surgery sydney systems tattoo tax taxi team tech technology tel tennis theater theatre tickets tienda tips tires tirol today \
tokyo tools top tours town toys trade trading training travel university uno vacations vegas ventures versicherung vet viajes \
video villas vin vip vision vlaanderen vodka vote voting voto voyage wales watch webcam website wed wedding wien wiki win wine \
work works world wtf xxx xyz yachts yoga yokohama zone zip ";

/// Those of other scripts, as they are written.
const INTERNATIONAL: &str = " рф срб укр бел бг мкд ею қаз мон ελ ευ հայ გე 中国 中國 香港 台湾 台灣 新加坡 澳門 澳门 한국 ไทย ລາວ \
भारत भारतम् भारोत বাংলা ভারত ভাৰত ਭਾਰਤ ભારત ଭାରତ இந்தியா இலங்கை சிங்கப்பூர் భారత్ ಭಾರತ ഭാരതം ලංකා امارات السعودية مصر تونس قطر \
فلسطين المغرب الجزائر الاردن عمان سورية سودان عراق ایران پاکستان بھارت مليسيا موريتانيا البحرين ישראל онлайн сайт орг москва дети \
ком рус католик 公司 网络 網路 网址 在线 中文网 商城 商店 网店 网站 世界 集团 游戏 我爱你 信息 企业 机构 组织机构 政务 公益 移动 手机 \
时尚 购物 娱乐 健康 慈善 食品 餐厅 八卦 佛山 广东 コム みんな ストア クラウド セール ファッション ポイント 닷컴 닷넷 삼성 شبكة موقع \
بازار همراه كوم عرب संगठन कॉम नेट קום คอม vermögensberater vermögensberatung ";

/// Is this (lower case, without the dot) a top-level domain?
pub(crate) fn known(top: &str) -> bool {
    (top.len() == 2 && top.bytes().all(|b| b.is_ascii_lowercase()))
        || top.starts_with("xn--")
        || (!top.is_ascii() && INTERNATIONAL.contains(&format!(" {top} ")))
        || (!top.is_empty()
            && top.bytes().all(|b| b.is_ascii_lowercase())
            && GENERIC.contains(&format!(" {top} ")))
}
